-- divide, finish_map: store one job, on a worker's connection, unless it is there.
-- Inputs: ?1 to ?14, the first fourteen columns of a job.
INSERT INTO mainspring_job
    (id, backend, task_path, queue_name, priority, available_at, state, claim, arguments,
     run_after, enqueued_at, options, metadata, limit_group)
SELECT ?1, ?2, ?3, ?4, ?5, ?6, ?7, ?8, ?9, ?10, ?11, ?12, ?13, ?14
WHERE NOT EXISTS (SELECT 1 FROM mainspring_job WHERE id = ?1)
