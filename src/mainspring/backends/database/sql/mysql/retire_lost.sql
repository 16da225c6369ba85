-- rescue: take a worker off the register, unless it has renewed its lease.
-- Inputs: the token, the end of the lease that it had.
-- Result: the row count tells whether it was taken off.
DELETE FROM mainspring_worker WHERE token = %s AND leased_until = %s
