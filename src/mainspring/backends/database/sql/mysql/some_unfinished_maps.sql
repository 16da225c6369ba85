-- look_at_maps: list some of the unfinished maps.
-- Inputs: the backend, the id after which to look, how many.
-- Result: id, whether it takes no more rows; ordered by id.
SELECT id, is_closed
FROM mainspring_map FORCE INDEX (mainspring_map_finished)
WHERE backend = %s AND finished_at IS NULL AND id > %s
ORDER BY id
LIMIT %s
