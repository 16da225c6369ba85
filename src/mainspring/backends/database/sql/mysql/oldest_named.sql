-- claim: choose the oldest ready jobs of one priority in a queue.
-- Inputs: the backend, the queue, the priority, the first and the last moment, how many.
-- Result: the columns of each job that the claim does not know, in order. Locks the rows, and skips
--   locked ones.
-- Leaves out metadata longer than 131072 bytes, and arguments if either is longer; see large_jobs.py.
SELECT
    priority, available_at, id, task_path, queue_name,
    CASE
        WHEN octet_length(arguments) <= 131072 AND COALESCE(octet_length(metadata), 0) <= 131072
        THEN arguments
    END,
    run_after, enqueued_at, options,
    CASE WHEN octet_length(metadata) <= 131072 THEN metadata END,
    limit_group, started_at, last_attempted_at, worker_ids, errors
FROM mainspring_job PARTITION (live) FORCE INDEX (mainspring_job_ready)
WHERE state = 1 AND backend = %s AND queue_name = %s AND priority = %s
    AND available_at BETWEEN %s AND %s
ORDER BY available_at
LIMIT %s
FOR UPDATE SKIP LOCKED
