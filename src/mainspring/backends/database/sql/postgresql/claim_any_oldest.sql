-- claim: take the first ready jobs of all queues but some, by priority, then the oldest.
-- Inputs: $1 the claim, $2 the backend, $3 the queues to leave out, $4 how many.
-- Result: the columns of each job that are not known already, in no particular order.
-- Leaves out metadata longer than 131072 bytes, and arguments if either is longer; see large_jobs.py.
WITH RECURSIVE level AS (
    SELECT (
        SELECT priority
        FROM mainspring_job_live
        WHERE state = 1 AND claim IS NULL AND backend = $2
        ORDER BY priority DESC
        LIMIT 1
    ) AS priority
    UNION ALL
    SELECT (
        SELECT priority
        FROM mainspring_job_live
        WHERE state = 1 AND claim IS NULL AND backend = $2 AND priority < level.priority
        ORDER BY priority DESC
        LIMIT 1
    )
    FROM level
    WHERE level.priority IS NOT NULL
), chosen AS MATERIALIZED (
    SELECT ready.ctid
    FROM level
    CROSS JOIN LATERAL (
        SELECT ctid
        FROM mainspring_job_live
        WHERE state = 1 AND claim IS NULL AND backend = $2 AND priority = level.priority
            AND queue_name <> ALL ($3)
        ORDER BY available_at
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
