-- restore: make what was set aside for a newer version due, where this one can read it.
-- Inputs: the backend, the first and the last of the moments that stand for formats.
-- Result: the row count.
UPDATE mainspring_job PARTITION (live) FORCE INDEX (mainspring_job_available)
SET available_at = COALESCE(run_after, enqueued_at)
WHERE state = 0 AND backend = %s AND available_at BETWEEN %s AND %s
