-- read_rows: read rows of a map without what they are called with.
-- Inputs: $1 the id of the first one, $2 the id before which its rows of calls end, $3 the backend,
--   $4 how many.
-- Result: the jobs, with empty arguments, by id.
SELECT
    id, backend, task_path, queue_name, priority, available_at, state, claim, ''::bytea,
    run_after, enqueued_at, options, metadata, limit_group, started_at, last_attempted_at,
    finished_at, worker_ids, errors, return_value
FROM mainspring_job
WHERE id >= $1 AND id < $2 AND backend = $3
ORDER BY id
LIMIT $4
