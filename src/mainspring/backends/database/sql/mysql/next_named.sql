-- claim: find the next lower priority that has ready jobs in a queue.
-- Inputs: the backend, the queue, the priority below which to look, the lowest.
-- Result: the priority, or no row.
SELECT priority
FROM mainspring_job PARTITION (live) FORCE INDEX (mainspring_job_ready)
WHERE state = 1 AND backend = %s AND queue_name = %s AND priority < %s
    AND priority >= %s
ORDER BY priority DESC
LIMIT 1
