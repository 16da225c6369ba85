-- release: give back one job that was claimed and not started, if its claim still holds.
-- Inputs: $1 the id, $2 the claim.
-- Result: the row count tells whether the claim held.
UPDATE mainspring_job_live
SET state = 1, claim = NULL
WHERE id = $1 AND claim = $2 AND state < 3
