-- stage: choose deferred jobs that are due, the longest due first.
-- Inputs: the backend, the first due time to search for, now, how many.
-- Result: id, whether it has limits. Locks the rows, and skips locked ones.
SELECT id, limit_group IS NOT NULL
FROM mainspring_job PARTITION (live) FORCE INDEX (mainspring_job_available)
WHERE state = 0 AND backend = %s AND available_at BETWEEN %s AND %s
ORDER BY available_at
LIMIT %s
FOR UPDATE SKIP LOCKED
