-- enqueue: store one new job, and return the process id of the session.
-- Inputs: $1 to $11, the first eleven columns of a job.
-- Result: the process id of the session.
INSERT INTO mainspring_job_live
    (id, backend, task_path, queue_name, priority, available_at, state, claim, arguments,
     run_after, enqueued_at)
VALUES ($1, $2, $3, $4, $5, $6, $7, $8, $9, $10, $11)
RETURNING pg_backend_pid()
