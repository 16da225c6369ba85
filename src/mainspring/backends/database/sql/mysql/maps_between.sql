-- prune: look which maps there are, of some time.
-- Inputs: the id after which to look, the id before which to look.
-- Result: id.
SELECT id
FROM mainspring_map
WHERE id > %s AND id < %s
