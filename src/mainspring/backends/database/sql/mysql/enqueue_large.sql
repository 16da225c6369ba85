-- enqueue: store one new job whose arguments are large, in the caller's transaction.
-- Inputs: the first fourteen columns of a job, the arguments in base64.
INSERT INTO mainspring_job
    (id, backend, task_path, queue_name, priority, available_at, state, claim, arguments,
     run_after, enqueued_at, options, metadata, limit_group)
VALUES (%s, %s, %s, %s, %s, %s, %s, %s, FROM_BASE64(%s), %s, %s, %s, %s, %s)
