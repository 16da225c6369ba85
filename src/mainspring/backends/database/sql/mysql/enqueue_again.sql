-- enqueue: store one new job unless it is there, in whichever state.
-- Inputs: the first fourteen columns of a job, the arguments in base64, and its id.
INSERT INTO mainspring_job
    (id, backend, task_path, queue_name, priority, available_at, state, claim, arguments,
     run_after, enqueued_at, options, metadata, limit_group)
SELECT %s, %s, %s, %s, %s, %s, %s, %s, FROM_BASE64(%s), %s, %s, %s, %s, %s
FROM DUAL
WHERE NOT EXISTS (SELECT 1 FROM mainspring_job AS known WHERE known.id = %s)
