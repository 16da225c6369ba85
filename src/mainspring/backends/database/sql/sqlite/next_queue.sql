-- claim: find the next queue, by name, that has ready jobs.
-- Inputs: ?1 the backend, ?2 the name after which to look.
-- Result: the name, or no row.
SELECT queue_name
FROM mainspring_job
WHERE state = 1 AND backend = ?1 AND queue_name > ?2
ORDER BY queue_name
LIMIT 1
