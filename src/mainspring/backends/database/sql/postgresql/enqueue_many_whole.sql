-- enqueue: store many new jobs, some of which have options, metadata or limits.
-- Inputs: their first fourteen columns, a line each, in COPY's text format.
COPY mainspring_job_live
    (id, backend, task_path, queue_name, priority, available_at, state, claim, arguments,
     run_after, enqueued_at, options, metadata, limit_group)
FROM STDIN
