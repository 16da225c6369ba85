-- retry_failed: have rows run again; those with limits, wait for these.
-- Inputs (%s, as it runs on the caller's connection): now, the ids as a JSON list.
UPDATE mainspring_job
SET state = CASE WHEN limit_group IS NULL THEN 1 ELSE -1 END, claim = NULL, available_at = %s,
    finished_at = NULL
WHERE id IN (SELECT value FROM json_each(%s)) AND state IN (4, 5)
