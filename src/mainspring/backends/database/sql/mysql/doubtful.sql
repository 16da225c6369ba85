-- release_unanswered: list the jobs of claims whose answers were lost.
-- Inputs: the claims.
-- Result: id, claim, available_at.
SELECT id, claim, available_at
FROM mainspring_job PARTITION (live) FORCE INDEX (mainspring_job_available)
WHERE state = 2 AND claim IN %s
