-- enqueue_unique: lock and read jobs that wait to start.
-- Inputs: the ids as a JSON list, the backend.
-- Result: the jobs, whole.
-- By the whole primary key, in the order in which a job passes the states, so that one that moves on
-- is not missed: what runs is not waited for.
SELECT
    job.id, job.backend, job.task_path, job.queue_name, job.priority, job.available_at, job.state,
    job.claim, job.arguments, job.run_after, job.enqueued_at, job.options, job.metadata,
    job.limit_group, job.started_at, job.last_attempted_at, job.finished_at, job.worker_ids,
    job.errors, job.return_value
FROM JSON_TABLE(
    %s, '$[*]' COLUMNS (id char(32) CHARACTER SET ascii PATH '$')
) AS wanted
STRAIGHT_JOIN JSON_TABLE('[0, -1, 1]', '$[*]' COLUMNS (state smallint PATH '$')) AS waiting
STRAIGHT_JOIN mainspring_job PARTITION (live) AS job FORCE INDEX (PRIMARY)
    ON job.id = wanted.id COLLATE ascii_bin AND job.state = waiting.state
WHERE job.backend = %s
FOR UPDATE
