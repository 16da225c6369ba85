-- enqueue: store many new jobs, in the caller's transaction.
-- Inputs: their first eleven columns, a line each, in COPY's text format.
COPY mainspring_job_live
    (id, backend, task_path, queue_name, priority, available_at, state, claim, arguments,
     run_after, enqueued_at)
FROM STDIN
