-- rescue: take a worker off the register, unless it has renewed its lease.
-- Inputs: $1 the token, $2 the end of the lease that it had.
-- Result: the row count tells whether it was taken off.
DELETE FROM mainspring_worker WHERE token = $1 AND leased_until = $2
