-- enqueue_unique: lock and read jobs that wait to start.
-- Inputs (%s, as it runs on the caller's connection): the ids as an array, the backend.
-- Result: the jobs, whole.
SELECT
    id, backend, task_path, queue_name, priority, available_at, state, claim, arguments,
    run_after, enqueued_at, options, metadata, limit_group, started_at, last_attempted_at,
    finished_at, worker_ids, errors, return_value
FROM mainspring_job_live
WHERE id = ANY (%s) AND backend = %s AND state < 2
ORDER BY id
FOR UPDATE
