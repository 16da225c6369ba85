-- prune: look which maps still take rows, a long time after they were opened.
-- Inputs: ?1 the backend, ?2 before when.
-- Result: id.
SELECT id
FROM mainspring_map
WHERE backend = ?1 AND finished_at IS NULL AND is_closed = 0 AND enqueued_at < ?2
ORDER BY id
