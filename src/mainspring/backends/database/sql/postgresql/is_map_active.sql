-- prune: look whether a row of a map is unfinished, or was until a short time ago.
-- Inputs: $1 the id from which its rows begin, $2 the one before which they end, $3 since when.
-- Result: a row if it is so.
SELECT 1
FROM mainspring_job
WHERE id >= $1 AND id < $2 AND (finished_at IS NULL OR finished_at >= $3)
ORDER BY id DESC
LIMIT 1
