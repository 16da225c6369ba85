-- claim: give back all that some claims took, as their answers did not come.
-- Inputs: $1 the claims, as an array.
UPDATE mainspring_job_live
SET state = 1, claim = NULL
WHERE state = 2 AND claim = ANY ($1)
