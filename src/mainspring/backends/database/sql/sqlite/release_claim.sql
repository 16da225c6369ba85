-- claim: give back all that a claim took, as its answer did not come.
-- Inputs: ?1 the claim.
UPDATE mainspring_job
SET state = 1, claim = NULL
WHERE claim = ?1 AND state = 2
