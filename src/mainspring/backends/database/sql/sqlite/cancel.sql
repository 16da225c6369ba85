-- cancel: cancel one job that has not finished.
-- Inputs (%s, as it runs on the caller's connection): now, the id, the backend.
-- Result: its errors so far, its claim if it was running, its limit group; no row if it was not
--   cancelled.
-- (SQLite 3.40 takes IS NOT NULL for true in RETURNING.)
UPDATE mainspring_job
SET state = 5, finished_at = %s
WHERE id = %s AND backend = %s AND state < 3
RETURNING errors, claim, limit_group
