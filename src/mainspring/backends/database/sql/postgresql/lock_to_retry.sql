-- retry_failed: lock the record of a map.
-- Inputs (%s, as it runs on the caller's connection): the id, the backend.
-- Result: the row count tells whether it is there.
SELECT id
FROM mainspring_map
WHERE id = %s AND backend = %s
FOR UPDATE
