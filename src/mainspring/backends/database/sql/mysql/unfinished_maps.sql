-- unfinished_maps: list the maps that take no more rows and are not finished.
-- Inputs: the backend.
-- Result: id, by id.
SELECT id
FROM mainspring_map
WHERE backend = %s AND finished_at IS NULL AND is_closed = 1
ORDER BY id
