-- restore: make the jobs due that were set aside, if this version can read them.
-- Inputs: $1 the backend, $2 the first and $3 the last due time that stand for readable formats.
-- Result: the row count.
UPDATE mainspring_job_live
SET available_at = COALESCE(run_after, enqueued_at)
WHERE state = 0 AND backend = $1 AND available_at BETWEEN $2 AND $3
