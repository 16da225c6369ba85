-- wake: like any_ready, but search for deferred jobs only.
-- Inputs: the backend, the first and the last due time to search for.
-- Result: whether any is due; the id of the newest job that waits for limits, of any backend, or NULL.
SELECT
    asked.soon >= coalesce(
        (
            SELECT available_at
            FROM mainspring_job PARTITION (live) FORCE INDEX (mainspring_job_available)
            WHERE state = 0 AND backend = asked.backend AND available_at >= asked.first
            ORDER BY available_at
            LIMIT 1
        ),
        asked.soon + 1
    ),
    (SELECT max(id) FROM mainspring_held)
FROM (SELECT %s AS backend, %s AS first, %s AS soon) AS asked
