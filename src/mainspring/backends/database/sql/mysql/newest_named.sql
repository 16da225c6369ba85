-- claim: choose the first ready jobs of a queue, by priority, then the newest.
-- Inputs: the backend, the queue, how many.
-- Result: what of each job the claim does not know, in order; locked, and none that others have.
SELECT
    priority, available_at, id, task_path, queue_name, arguments, run_after, enqueued_at,
    options, metadata, limit_group, started_at, last_attempted_at, worker_ids, errors
FROM mainspring_job PARTITION (live) FORCE INDEX (mainspring_job_ready)
WHERE state = 1 AND backend = %s AND queue_name = %s
ORDER BY priority DESC, available_at DESC
LIMIT %s
FOR UPDATE SKIP LOCKED
