-- release_unanswered: list what some claims took, as their answers did not come.
-- Inputs: $1 the claims, as an array.
-- Result: id, claim.
SELECT id, claim
FROM mainspring_job_live
WHERE state = 2 AND claim = ANY ($1)
