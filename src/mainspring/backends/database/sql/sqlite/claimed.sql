-- rescue: list what a worker has claimed.
-- Inputs: ?1 the lowest and ?2 the highest claim that the worker can draw.
-- Result: the jobs, whole.
SELECT
    id, backend, task_path, queue_name, priority, available_at, state, claim, arguments,
    run_after, enqueued_at, options, metadata, limit_group, started_at, last_attempted_at,
    finished_at, worker_ids, errors, return_value
FROM mainspring_job
WHERE state = 2 AND claim BETWEEN ?1 AND ?2
