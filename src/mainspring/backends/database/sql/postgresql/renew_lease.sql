-- heartbeat: renew a worker's lease.
-- Inputs: $1 the token, $2 now, $3 the lease's end.
-- Result: the row count tells whether the worker is registered.
UPDATE mainspring_worker
SET heard_at = $2, leased_until = $3
WHERE token = $1
