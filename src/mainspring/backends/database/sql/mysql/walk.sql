-- vacuum: measure how long it takes to reach the first and the last ready job of each priority.
-- Inputs: the lowest and the highest priority, the backend, twice.
-- Result: priority, start time in seconds, available_at of both jobs, end time in seconds.
WITH RECURSIVE level AS (
    SELECT %s AS priority
    UNION ALL
    SELECT priority + 1 FROM level WHERE priority < %s
)
SELECT
    level.priority,
    UNIX_TIMESTAMP(SYSDATE(6)),
    (
        SELECT available_at
        FROM mainspring_job PARTITION (live) FORCE INDEX (mainspring_job_ready_any)
        WHERE state = 1 AND backend = %s AND priority = level.priority
        ORDER BY available_at
        LIMIT 1
    ),
    (
        SELECT available_at
        FROM mainspring_job PARTITION (live) FORCE INDEX (mainspring_job_ready_any)
        WHERE state = 1 AND backend = %s AND priority = level.priority
        ORDER BY available_at DESC
        LIMIT 1
    ),
    UNIX_TIMESTAMP(SYSDATE(6))
FROM level
