-- restore: make the jobs due that were set aside, if this version can read them.
-- Inputs: the backend, the first and the last due time that stand for readable formats.
-- Result: the row count.
UPDATE mainspring_job PARTITION (live) FORCE INDEX (mainspring_job_available)
SET available_at = COALESCE(run_after, enqueued_at)
WHERE state = 0 AND backend = %s AND available_at BETWEEN %s AND %s
