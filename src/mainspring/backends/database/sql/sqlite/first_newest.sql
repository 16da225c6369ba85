-- claim: choose the first ready jobs of a queue, by priority, then the newest.
-- Inputs: ?1 the backend, ?2 the queue, ?3 how many.
-- Result: priority, available_at, id, in order.
SELECT priority, available_at, id
FROM mainspring_job
WHERE state = 1 AND backend = ?1 AND queue_name = ?2
ORDER BY priority DESC, available_at DESC
LIMIT ?3
