-- claim: choose the first ready jobs of a queue, by priority, then the newest.
-- Inputs: ?1 the backend, ?2 the queue, ?3 how many.
-- Result: id, priority, available_at, in order.
SELECT id, priority, available_at
FROM mainspring_job
WHERE state = 1 AND backend = ?1 AND queue_name = ?2
ORDER BY priority DESC, available_at DESC
LIMIT ?3
