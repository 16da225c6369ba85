-- stage: find out when the next deferred job is due, and whether any job waits for limits.
-- Inputs: the backend, the first due time to search for.
-- Result: its due time, or NULL; whether any job waits for limits.
SELECT
    (
        SELECT available_at
        FROM mainspring_job PARTITION (live) FORCE INDEX (mainspring_job_available)
        WHERE state = 0 AND backend = asked.backend AND available_at >= asked.first
        ORDER BY available_at
        LIMIT 1
    ),
    EXISTS (
        SELECT 1
        FROM mainspring_held FORCE INDEX (mainspring_held_order)
        WHERE backend = asked.backend
    )
FROM (SELECT %s AS backend, %s AS first) AS asked
