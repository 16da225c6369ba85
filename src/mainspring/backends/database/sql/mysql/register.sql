-- heartbeat: register a worker.
-- Inputs: the token, now, the lease's end, the worker's id, the backend.
INSERT INTO mainspring_worker (token, heard_at, leased_until, worker_id, backend, started_at)
VALUES (%s, %s, %s, %s, %s, heard_at)
