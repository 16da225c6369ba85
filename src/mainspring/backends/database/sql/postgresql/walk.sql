-- vacuum: measure how long it takes to reach the first and the last ready job of each priority.
-- Inputs: $1 the backend, $2 the lowest, $3 the highest priority.
-- Result: priority, microseconds, available_at of both jobs. A second run is slow only if dead entries
--   cannot be removed.
SELECT
    walked.priority,
    (extract(epoch FROM clock_timestamp() - walked.begun_at) * 1000000)::bigint,
    walked.first, walked.last
FROM (
    SELECT
        begun.priority,
        begun.begun_at,
        (
            SELECT available_at
            FROM mainspring_job_live
            WHERE state = 1 AND claim IS NULL AND backend = $1 AND priority = begun.priority
                AND begun.begun_at IS NOT NULL
            ORDER BY available_at
            LIMIT 1
        ) AS first,
        (
            SELECT available_at
            FROM mainspring_job_live
            WHERE state = 1 AND claim IS NULL AND backend = $1 AND priority = begun.priority
                AND begun.begun_at IS NOT NULL
            ORDER BY available_at DESC
            LIMIT 1
        ) AS last
    FROM (
        SELECT priority, clock_timestamp() AS begun_at
        FROM generate_series($2::int, $3::int) AS level (priority)
        OFFSET 0
    ) AS begun
    OFFSET 0
) AS walked
