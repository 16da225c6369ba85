-- admit: choose the job that has waited longest in each of some limit groups.
-- Inputs: $1 the backend, $2 the groups, $3 the queues to leave out.
-- Result: id, limit_group, level, place; locked, and none that others have.
SELECT first.id, wanted.limit_group, first.level, first.place
FROM unnest($2::text[]) AS wanted (limit_group)
CROSS JOIN LATERAL (
    SELECT held.id, held.level, held.place
    FROM mainspring_held AS held
    JOIN mainspring_job_live AS job ON job.id = held.id AND job.state = -1
    WHERE held.backend = $1 AND held.limit_group = wanted.limit_group COLLATE "C"
        AND job.queue_name <> ALL ($3)
    ORDER BY held.available_at
    LIMIT 1
    FOR UPDATE OF job SKIP LOCKED
) AS first
