-- claim: find out since when the oldest job of one priority has been ready, in all queues but some.
-- Inputs: the backend, the queues to leave out, the priority, the first and the last moment.
-- Result: the moment, or no row.
SELECT available_at
FROM mainspring_job PARTITION (live) FORCE INDEX (mainspring_job_ready_any)
WHERE state = 1 AND backend = %s AND queue_name NOT IN %s AND priority = %s
    AND available_at BETWEEN %s AND %s
ORDER BY available_at
LIMIT 1
