-- stage: make due jobs ready, the longest due first; jobs with limits start to wait for these.
-- Inputs: $1 the backend, $2 now, $3 how many, $4 -1 for the newest first, 1 for the oldest,
--   $5 the first due time to search for.
-- Result: the number of jobs.
WITH due AS MATERIALIZED (
    SELECT ctid
    FROM mainspring_job_live
    WHERE state = 0 AND backend = $1 AND available_at BETWEEN $5 AND $2
    ORDER BY available_at
    LIMIT $3
    FOR UPDATE SKIP LOCKED
), staged AS (
    UPDATE mainspring_job_live AS job
    SET state = CASE WHEN job.limit_group IS NULL THEN 1 ELSE -1 END
    FROM due
    WHERE job.ctid = due.ctid
    RETURNING job.id, job.backend, job.limit_group, job.priority, job.available_at
), held AS (
    INSERT INTO mainspring_held (id, backend, limit_group, level, place, available_at)
    SELECT id, backend, limit_group, -priority, $4::int * available_at, available_at
    FROM staged
    WHERE limit_group IS NOT NULL
)
SELECT count(*) FROM staged
