-- prune: look which maps there are, of some time.
-- Inputs: $1 the id after which to look, $2 the id before which to look.
-- Result: id.
SELECT id
FROM mainspring_map
WHERE id > $1 AND id < $2
