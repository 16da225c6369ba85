-- leases: list the leases of a backend's registered workers.
-- Inputs: $1 the backend.
-- Result: token, worker_id, heard_at, leased_until.
SELECT token, worker_id, heard_at, leased_until FROM mainspring_worker WHERE backend = $1
