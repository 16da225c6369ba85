-- get_results: read jobs.
-- Inputs: the ids as a JSON list, the backend.
-- Result: the jobs, whole.
SELECT
    job.id, job.backend, job.task_path, job.queue_name, job.priority, job.available_at, job.state,
    job.claim, job.arguments, job.run_after, job.enqueued_at, job.options, job.metadata,
    job.limit_group, job.started_at, job.last_attempted_at, job.finished_at, job.worker_ids,
    job.errors, job.return_value
FROM JSON_TABLE(
    %s, '$[*]' COLUMNS (id char(32) CHARACTER SET ascii PATH '$')
) AS wanted
STRAIGHT_JOIN mainspring_job AS job ON job.id = wanted.id COLLATE ascii_bin
WHERE job.backend = %s
