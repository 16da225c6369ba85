-- claim: like claim_any_oldest, but search for ready jobs in spans only; see stretches.py.
-- Inputs: $1 the claim, $2 the backend, $3 the queues to leave out, $4 how many, $5 to $8 an array for
--   each column of a span, in their order.
-- Result: the columns of each job that are not known already, in no particular order.
-- Leaves out metadata longer than 131072 bytes, and arguments if either is longer; see large_jobs.py.
-- The levels are computed one by one, only as many as needed: they are not materialized.
WITH level AS NOT MATERIALIZED (
    SELECT found.priority, span.first, span.last
    FROM unnest($5::smallint[], $6::bigint[], $7::smallint[], $8::bigint[])
        AS span (top, last, bottom, first)
    CROSS JOIN LATERAL (
        SELECT span.top AS priority
        WHERE span.top = span.bottom
        UNION ALL
        (
            WITH RECURSIVE lower AS (
                SELECT (
                    SELECT priority
                    FROM mainspring_job_live
                    WHERE state = 1 AND claim IS NULL AND backend = $2
                        AND priority BETWEEN span.bottom AND span.top
                    ORDER BY priority DESC
                    LIMIT 1
                ) AS priority
                WHERE span.top > span.bottom
                UNION ALL
                SELECT (
                    SELECT priority
                    FROM mainspring_job_live
                    WHERE state = 1 AND claim IS NULL AND backend = $2
                        AND priority >= span.bottom AND priority < lower.priority
                    ORDER BY priority DESC
                    LIMIT 1
                )
                FROM lower
                WHERE lower.priority IS NOT NULL
            )
            SELECT lower.priority
            FROM lower
            WHERE lower.priority IS NOT NULL
        )
    ) AS found
), chosen AS MATERIALIZED (
    SELECT ready.ctid
    FROM level
    CROSS JOIN LATERAL (
        SELECT ctid
        FROM mainspring_job_live
        WHERE state = 1 AND claim IS NULL AND backend = $2
            AND queue_name <> ALL ($3)
            AND priority = level.priority AND available_at BETWEEN level.first AND level.last
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
