-- rescue: list what a worker has claimed.
-- Inputs: the lowest and the highest claim that the worker can draw.
-- Result: the jobs, whole.
SELECT
    id, backend, task_path, queue_name, priority, available_at, state, claim, arguments,
    run_after, enqueued_at, options, metadata, limit_group, started_at, last_attempted_at,
    finished_at, worker_ids, errors, return_value
FROM mainspring_job PARTITION (live) FORCE INDEX (mainspring_job_available)
WHERE state = 2 AND claim BETWEEN %s AND %s
