-- cancel: cancel one job that has not started.
-- Inputs (%s, as it runs on the caller's connection): now, the id, the backend.
-- Result: its errors so far; no row if it was not cancelled.
UPDATE mainspring_job
SET state = 5, finished_at = %s
WHERE id = %s AND backend = %s AND state IN (0, 1)
RETURNING errors
