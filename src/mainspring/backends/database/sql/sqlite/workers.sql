-- rescue: list the registered workers of a backend.
-- Inputs: ?1 the backend.
-- Result: token, worker_id, heard_at, leased_until.
SELECT token, worker_id, heard_at, leased_until FROM mainspring_worker WHERE backend = ?1
