-- divide: write the arguments that a claimed row keeps, if its claim still holds.
-- Inputs: $1 the arguments, $2 the id, $3 the claim.
-- Result: the row count tells whether the claim held.
UPDATE mainspring_job_live
SET arguments = $1
WHERE id = $2 AND claim = $3 AND state = 2
