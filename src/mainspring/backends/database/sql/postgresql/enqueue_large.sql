-- enqueue: store many new jobs that have much to be called with.
-- Inputs: their first fourteen columns, in COPY's binary format.
COPY mainspring_job_live
    (id, backend, task_path, queue_name, priority, available_at, state, claim, arguments,
     run_after, enqueued_at, options, metadata, limit_group)
FROM STDIN (FORMAT BINARY)
