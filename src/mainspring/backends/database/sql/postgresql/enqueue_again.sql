-- enqueue: store one new job unless it is there, in whichever state.
-- Inputs (%s, as it runs on the caller's connection): the first fourteen columns of a job, its id.
INSERT INTO mainspring_job_live
    (id, backend, task_path, queue_name, priority, available_at, state, claim, arguments,
     run_after, enqueued_at, options, metadata, limit_group)
SELECT %s, %s, %s, %s, %s, %s, %s, %s, %s, %s, %s, %s, %s, %s
WHERE NOT EXISTS (SELECT FROM mainspring_job WHERE id = %s)
