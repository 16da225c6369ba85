-- add_rows: write how many calls a map has now, if it still takes some.
-- Inputs (%s, as it runs on the caller's connection): the number, the id, the backend.
-- Result: the row count tells whether it takes some.
UPDATE mainspring_map
SET stored = %s
WHERE id = %s AND backend = %s AND NOT is_closed
