-- read_rows: read rows of a map without what they are called with.
-- Inputs (%s, as it runs on the caller's connection): the id of the first one, the id before which
--   its rows of calls end, the backend, how many.
-- Result: the jobs, with empty arguments, by id.
SELECT
    id, backend, task_path, queue_name, priority, available_at, state, claim, x'',
    run_after, enqueued_at, options, metadata, limit_group, started_at, last_attempted_at,
    finished_at, worker_ids, errors, return_value
FROM mainspring_job
WHERE id >= %s AND id < %s AND backend = %s
ORDER BY id
LIMIT %s
