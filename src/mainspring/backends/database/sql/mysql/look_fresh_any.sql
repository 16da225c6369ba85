-- wake: like any_due, and search for jobs that became ready from a moment on, in all queues but some.
-- Inputs: the backend, the queues to leave out, the moment, the backend, the first and the last due time.
-- Result: whether any became ready; whether any is due; the id of the newest job that waits for
--   limits, of any backend, or NULL.
SELECT
    EXISTS (
        SELECT 1
        FROM mainspring_job PARTITION (live) FORCE INDEX (mainspring_job_available)
        WHERE state = 1 AND backend = %s AND queue_name NOT IN %s AND available_at >= %s
    ),
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
