-- enqueue: store one new job, in the caller's transaction.
-- Inputs (%s, as it runs on the caller's connection): the first fourteen columns of a job.
INSERT INTO mainspring_job
    (id, backend, task_path, queue_name, priority, available_at, state, claim, arguments,
     run_after, enqueued_at, options, metadata, limit_group)
VALUES (%s, %s, %s, %s, %s, %s, %s, %s, %s, %s, %s, %s, %s, %s)
