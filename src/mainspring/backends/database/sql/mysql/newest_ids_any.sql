-- claim: list the newest ready jobs of one priority in all queues but some, without locks.
-- Inputs: the backend, the queues to leave out, the priority, the first and the last moment, how many.
-- Result: priority, available_at, id, in order.
SELECT priority, available_at, id
FROM mainspring_job PARTITION (live) FORCE INDEX (mainspring_job_ready_any)
WHERE state = 1 AND backend = %s AND queue_name NOT IN %s AND priority = %s
    AND available_at BETWEEN %s AND %s
ORDER BY available_at DESC
LIMIT %s
