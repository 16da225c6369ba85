-- finish_map: look how far a map is, without a lock.
-- Inputs: the id from which its rows begin, the one before which they end, the map's id,
--   the backend.
-- Result: whether it takes no more rows, when it was finished, whether a row is unfinished.
SELECT
    is_closed,
    finished_at,
    EXISTS (
        SELECT 1
        FROM mainspring_job PARTITION (live) AS job FORCE INDEX (PRIMARY)
        WHERE job.id >= %s AND job.id < %s AND job.state < 3
    )
FROM mainspring_map
WHERE id = %s AND backend = %s
