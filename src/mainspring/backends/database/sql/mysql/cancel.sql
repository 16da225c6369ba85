-- cancel: cancel one job that has not finished.
-- Inputs: now, the id, the backend.
-- Result: the row count tells whether it was cancelled.
UPDATE mainspring_job
SET state = 5, finished_at = %s
WHERE id = %s AND backend = %s AND state < 3
