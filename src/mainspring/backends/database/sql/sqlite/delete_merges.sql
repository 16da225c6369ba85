-- retry_failed: delete what has merged the values of a map.
-- Inputs (%s, as it runs on the caller's connection): the id from which its merges begin, the one before which they end, the backend.
DELETE FROM mainspring_job
WHERE id >= %s AND id < %s AND backend = %s
