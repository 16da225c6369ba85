-- claim: like claim_named_newest, but search for ready jobs in spans only; see stretches.py.
-- Inputs: $1 the claim, $2 the backend, $3 the queue of each span, $4 how many, $5 to $8 an array for
--   each column of a span, in their order.
-- Result: the columns of each job that are not known already, in no particular order.
-- Leaves out metadata longer than 131072 bytes, and arguments if either is longer; see large_jobs.py.
-- Spans of one priority are separate: an index can be bounded by time within one priority only.
WITH chosen AS MATERIALIZED (
    SELECT ready.ctid
    FROM unnest($3::text[], $5::smallint[], $6::bigint[], $7::smallint[], $8::bigint[])
        AS span (queue_name, top, last, bottom, first)
    CROSS JOIN LATERAL (
        SELECT level.ctid
        FROM (
            SELECT ctid
            FROM mainspring_job_live
            WHERE span.top = span.bottom AND state = 1 AND backend = $2
                AND queue_name = span.queue_name COLLATE "C"
                AND priority = span.top AND available_at BETWEEN span.first AND span.last
            ORDER BY available_at DESC
            LIMIT $4
            FOR UPDATE SKIP LOCKED
        ) AS level
        UNION ALL
        SELECT levels.ctid
        FROM (
            SELECT ctid
            FROM mainspring_job_live
            WHERE span.top > span.bottom AND state = 1 AND backend = $2
                AND queue_name = span.queue_name COLLATE "C"
                AND priority BETWEEN span.bottom AND span.top
            ORDER BY priority DESC, available_at DESC
            LIMIT $4
            FOR UPDATE SKIP LOCKED
        ) AS levels
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
