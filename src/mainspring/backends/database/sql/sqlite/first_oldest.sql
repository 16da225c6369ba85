-- claim: choose the oldest ready jobs of one priority in a queue.
-- Inputs: ?1 the backend, ?2 the queue, ?3 the priority, ?4 how many.
-- Result: priority, available_at, id, in order.
SELECT priority, available_at, id
FROM mainspring_job
WHERE state = 1 AND backend = ?1 AND queue_name = ?2 AND priority = ?3
ORDER BY available_at
LIMIT ?4
