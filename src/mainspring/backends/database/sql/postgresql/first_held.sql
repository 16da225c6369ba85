-- admit: choose the first jobs that wait in each of some limit groups, in the order of the backend.
-- Inputs: $1 the backend, $2 the groups, $3 how many of each, $4 the queues to leave out.
-- Result: id, limit_group, level, place; locked, and none that others have.
SELECT first.id, wanted.limit_group, first.level, first.place
FROM unnest($2::text[], $3::int[]) AS wanted (limit_group, number)
CROSS JOIN LATERAL (
    SELECT held.id, held.level, held.place
    FROM mainspring_held AS held
    JOIN mainspring_job_live AS job ON job.id = held.id AND job.state = -1
    WHERE held.backend = $1 AND held.limit_group = wanted.limit_group COLLATE "C"
        AND job.queue_name <> ALL ($4)
    ORDER BY held.level, held.place
    LIMIT wanted.number
    FOR UPDATE OF job SKIP LOCKED
) AS first
