-- claim: lock jobs that were chosen without locks, and read them.
-- Inputs: the ids.
-- Result: the columns of each job that the claim does not know, of those that are still ready and
--   that nobody else has locked.
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
FROM mainspring_job PARTITION (live) FORCE INDEX (PRIMARY)
WHERE id IN %s AND state = 1
FOR UPDATE SKIP LOCKED
