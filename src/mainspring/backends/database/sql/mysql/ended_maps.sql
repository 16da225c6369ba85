-- prune: look which maps have ended long enough ago.
-- Inputs: the backend, before when, how many.
-- Result: id.
SELECT id
FROM mainspring_map
WHERE backend = %s AND finished_at < %s
ORDER BY id
LIMIT %s
