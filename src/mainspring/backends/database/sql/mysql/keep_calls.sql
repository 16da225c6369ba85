-- divide: write the arguments that a claimed row keeps, if its claim still holds.
-- Inputs: the arguments in base64, the id, the claim.
-- Result: the row count tells whether the claim held: the drivers have rows counted that are found.
UPDATE mainspring_job PARTITION (live)
SET arguments = FROM_BASE64(%s)
WHERE id = %s AND claim = %s AND state = 2
