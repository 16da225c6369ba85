-- claim: list the ready jobs of all queues but some by the time at which they became ready, without locks.
-- Inputs: the backend, the queues to leave out, the first and the last moment, how many.
-- Result: priority, available_at, id, the oldest first.
-- The index ends with the ready jobs, and few others; see searches.py.
SELECT priority, available_at, id
FROM mainspring_job PARTITION (live) FORCE INDEX (mainspring_job_available)
WHERE state = 1 AND backend = %s AND queue_name NOT IN %s AND available_at BETWEEN %s AND %s
ORDER BY available_at
LIMIT %s
