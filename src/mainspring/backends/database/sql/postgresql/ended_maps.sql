-- prune: look which maps have ended long enough ago.
-- Inputs: $1 the backend, $2 before when, $3 how many.
-- Result: id.
SELECT id
FROM mainspring_map
WHERE backend = $1 AND finished_at < $2
ORDER BY id
LIMIT $3
