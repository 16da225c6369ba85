-- prune: look which maps still take rows, a long time after they were opened.
-- Inputs: the backend, before when.
-- Result: id.
SELECT id
FROM mainspring_map
WHERE backend = %s AND finished_at IS NULL AND is_closed = 0 AND enqueued_at < %s
ORDER BY id
