-- rows_in: look which rows of a map are in some states.
-- Inputs (%s, as it runs on the caller's connection): the id from which its rows begin, the one before which they end, the backend, seven
--   states, how many.
-- Result: id, state, by id.
SELECT id, state
FROM mainspring_job
WHERE id >= %s AND id < %s AND backend = %s AND state IN (%s, %s, %s, %s, %s, %s, %s)
ORDER BY id
LIMIT %s
