-- retry_failed: look which rows of a map have failed calls.
-- Inputs (%s, as it runs on the caller's connection): the id from which its rows of calls begin, the one before which they end, the backend.
-- Result: id, whether it has limits to wait for.
SELECT id, CASE WHEN limit_group IS NULL THEN 0 ELSE 1 END
FROM mainspring_job
WHERE id >= %s AND id < %s AND backend = %s AND state IN (4, 5)
ORDER BY id
