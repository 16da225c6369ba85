-- get_results: read jobs.
-- Inputs (%s, as it runs on the caller's connection): the ids as a JSON list, the backend.
-- Result: the jobs, whole.
SELECT
    id, backend, task_path, queue_name, priority, available_at, state, claim, arguments,
    run_after, enqueued_at, options, metadata, limit_group, started_at, last_attempted_at,
    finished_at, worker_ids, errors, return_value
FROM mainspring_job
WHERE id IN (SELECT value FROM json_each(%s)) AND backend = %s
