-- cancel: cancel one job that has not started.
-- Inputs (%s, as it runs on the caller's connection): now, the errors, the id, the backend.
-- Result: the row count tells whether it was cancelled.
UPDATE mainspring_job
SET state = 5, finished_at = %s, errors = %s
WHERE id = %s AND backend = %s AND state IN (0, 1)
