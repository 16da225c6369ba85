-- stage: find out when the next deferred job is due.
-- Inputs: ?1 the backend.
-- Result: the moment, or no row.
SELECT available_at
FROM mainspring_job
WHERE state = 0 AND backend = ?1
ORDER BY available_at
LIMIT 1
