-- claim: take the first ready jobs of some queues, one queue after the other, by priority, then the newest.
-- Inputs: $1 the claim, $2 the backend, $3 the queues, $4 how many.
-- Result: the columns of each job that are not known already, in no particular order.
-- Leaves out metadata longer than 131072 bytes, and arguments if either is longer; see large_jobs.py.
WITH chosen AS MATERIALIZED (
    SELECT ready.ctid
    FROM unnest($3::text[]) AS wanted (queue_name)
    CROSS JOIN LATERAL (
        SELECT ctid
        FROM mainspring_job_live
        WHERE state = 1 AND backend = $2 AND queue_name = wanted.queue_name COLLATE "C"
        ORDER BY priority DESC, available_at DESC
        LIMIT $4
        FOR UPDATE SKIP LOCKED
    ) AS ready
    LIMIT $4
)
UPDATE mainspring_job_live AS job
SET state = 2, claim = $1
FROM chosen
WHERE job.ctid = chosen.ctid
RETURNING
    job.priority, job.available_at, job.id, job.task_path, job.queue_name,
    CASE
        WHEN octet_length(job.arguments) <= 131072 AND COALESCE(octet_length(job.metadata), 0) <= 131072
        THEN job.arguments
    END,
    job.run_after, job.enqueued_at, job.options,
    CASE WHEN octet_length(job.metadata) <= 131072 THEN job.metadata END,
    job.limit_group, job.started_at, job.last_attempted_at, job.worker_ids, job.errors
