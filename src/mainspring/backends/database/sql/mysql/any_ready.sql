-- wake: find out whether any job is ready or soon due, and which held job is the newest.
-- Inputs: the backend, the last due time to search for.
-- Result: whether any is; the id of the newest job that waits for limits, of any backend, or NULL.
SELECT
    EXISTS (
        SELECT 1
        FROM mainspring_job PARTITION (live) FORCE INDEX (mainspring_job_available)
        WHERE state = 1 AND backend = asked.backend
    )
    OR asked.soon >= coalesce(
        (
            SELECT available_at
            FROM mainspring_job PARTITION (live) FORCE INDEX (mainspring_job_available)
            WHERE state = 0 AND backend = asked.backend
            ORDER BY available_at
            LIMIT 1
        ),
        asked.soon + 1
    ),
    (SELECT max(id) FROM mainspring_held)
FROM (SELECT %s AS backend, %s AS soon) AS asked
