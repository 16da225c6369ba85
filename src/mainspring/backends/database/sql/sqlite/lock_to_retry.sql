-- retry_failed: lock the record of a map.
-- Inputs (%s, as it runs on the caller's connection): the id, the backend.
-- Result: the row count tells whether it is there.
-- To write is to lock; to read first would fail where others write in between.
UPDATE mainspring_map
SET level = level
WHERE id = %s AND backend = %s
