-- finish_map: read the states of rows of a map.
-- Inputs: $1 the id from which to look, $2 the one before which to look.
-- Result: id, state, by id.
SELECT id, state
FROM mainspring_job
WHERE id >= $1 AND id < $2
ORDER BY id
