-- stage: find out when the next deferred job is due, and whether any job waits for limits.
-- Inputs: $1 the backend, $2 the first due time to search for.
-- Result: its due time, or NULL; whether any job waits for limits.
SELECT
    (
        SELECT available_at
        FROM mainspring_job_live
        WHERE state = 0 AND backend = $1 AND available_at >= $2
        ORDER BY available_at
        LIMIT 1
    ),
    EXISTS (SELECT FROM mainspring_held WHERE backend = $1)
