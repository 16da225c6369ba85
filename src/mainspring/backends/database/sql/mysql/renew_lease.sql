-- heartbeat: renew a worker's lease.
-- Inputs: the token, now, the lease's end.
-- Result: the row count tells whether the worker is registered.
UPDATE (SELECT %s AS token, %s AS heard_at, %s AS leased_until) AS lease
STRAIGHT_JOIN mainspring_worker AS worker ON worker.token = lease.token
SET worker.heard_at = lease.heard_at, worker.leased_until = lease.leased_until
