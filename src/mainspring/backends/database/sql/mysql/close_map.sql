-- close_map: have a map take no more rows.
-- Inputs: the id, the backend.
UPDATE mainspring_map
SET is_closed = 1
WHERE id = %s AND backend = %s
