-- finish_map: read the states of rows of a map.
-- Inputs: the id from which to look, the one before which to look.
-- Result: id, state, by id.
SELECT id, state
FROM mainspring_job FORCE INDEX (PRIMARY)
WHERE id >= %s AND id < %s
ORDER BY id
