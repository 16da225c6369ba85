-- finish_map: look how far a map is, without a lock.
-- Inputs: $1 the id from which its rows begin, $2 the one before which they end, $3 the map's id,
--   $4 the backend.
-- Result: whether it takes no more rows, when it was finished, whether a row is unfinished.
SELECT
    is_closed,
    finished_at,
    EXISTS (
        SELECT 1
        FROM mainspring_job_live AS job
        WHERE job.id >= $1 AND job.id < $2 AND job.state < 3
    )
FROM mainspring_map
WHERE id = $3 AND backend = $4
