-- claim: list the oldest ready jobs of one priority in one queue, without locks.
-- Inputs: the backend, the queue, the priority, the first and the last moment, how many.
-- Result: priority, available_at, id, in order.
SELECT priority, available_at, id
FROM mainspring_job PARTITION (live) FORCE INDEX (mainspring_job_ready)
WHERE state = 1 AND backend = %s AND queue_name = %s AND priority = %s
    AND available_at BETWEEN %s AND %s
ORDER BY available_at
LIMIT %s
