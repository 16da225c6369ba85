-- release: give back one job that was claimed and not started, if its claim still holds.
-- Inputs: the id, the claim.
-- Result: the row count tells whether the claim held.
UPDATE mainspring_job
SET state = 1, claim = NULL
WHERE id = %s AND claim = %s AND state = 2
