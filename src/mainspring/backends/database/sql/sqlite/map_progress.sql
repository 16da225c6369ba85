-- finish_map: look how far a map is, without a lock.
-- Inputs: ?1 the id from which its rows begin, ?2 the one before which they end, ?3 the map's id,
--   ?4 the backend.
-- Result: whether it takes no more rows, when it was finished, whether a row is unfinished.
-- What runs is looked at first, through its own small index: + keeps the primary key from being read,
-- at which all rows of the map are.
SELECT
    is_closed,
    finished_at,
    EXISTS (
        SELECT 1
        FROM mainspring_job
        WHERE state = 2 AND +id >= ?1 AND +id < ?2
    ) OR EXISTS (
        SELECT 1
        FROM mainspring_job
        WHERE id >= ?1 AND id < ?2 AND state < 3
    )
FROM mainspring_map
WHERE id = ?3 AND backend = ?4
