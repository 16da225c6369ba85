-- heartbeat: register a worker.
-- Inputs: $1 the token, $2 now, $3 the lease's end, $4 the worker's id, $5 the backend.
INSERT INTO mainspring_worker (token, heard_at, leased_until, worker_id, backend, started_at)
VALUES ($1, $2, $3, $4, $5, $2)
