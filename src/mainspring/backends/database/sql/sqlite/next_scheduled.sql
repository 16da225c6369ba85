-- stage: find out when the next deferred job is due, and whether any job waits for limits.
-- Inputs: ?1 the backend, ?2 the first due time to search for.
-- Result: its due time, or NULL; whether any job waits for limits.
-- SQLite may store text in a numeric column, and sorts it after all numbers: BETWEEN leaves it out.
SELECT
    (
        SELECT available_at
        FROM mainspring_job
        WHERE state = 0 AND backend = ?1 AND available_at BETWEEN ?2 AND 9223372036854775807
        ORDER BY available_at
        LIMIT 1
    ),
    EXISTS (SELECT 1 FROM mainspring_held WHERE backend = ?1)
