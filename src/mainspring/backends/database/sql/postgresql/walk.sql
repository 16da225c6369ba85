-- vacuum: find out how long it takes to come to the first and to the last ready job.
-- Inputs: $1 the backend.
-- Result: microseconds. The second time, it takes as long only if what is dead must stay.
WITH begun AS MATERIALIZED (
    SELECT clock_timestamp() AS at
), walked AS MATERIALIZED (
    SELECT
        begun.at,
        (
            SELECT priority
            FROM mainspring_job_live
            WHERE state = 1 AND claim IS NULL AND backend = $1 AND begun.at IS NOT NULL
            ORDER BY priority, available_at
            LIMIT 1
        ),
        (
            SELECT priority
            FROM mainspring_job_live
            WHERE state = 1 AND claim IS NULL AND backend = $1 AND begun.at IS NOT NULL
            ORDER BY priority DESC, available_at DESC
            LIMIT 1
        )
    FROM begun
)
SELECT (extract(epoch FROM clock_timestamp() - walked.at) * 1000000)::bigint, walked.*
FROM walked
