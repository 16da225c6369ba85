-- prune: look whether a row of a map is unfinished, or was until a short time ago.
-- Inputs: the id from which its rows begin, the one before which they end, since when.
-- Result: a row if it is so.
SELECT 1
FROM mainspring_job FORCE INDEX (PRIMARY)
WHERE id >= %s AND id < %s AND (finished_at IS NULL OR finished_at >= %s)
ORDER BY id DESC
LIMIT 1
