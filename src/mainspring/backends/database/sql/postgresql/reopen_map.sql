-- retry_failed: have a map come to its end once more.
-- Inputs (%s, as it runs on the caller's connection): the id.
UPDATE mainspring_map
SET level = 0, result_id = NULL, finished_at = NULL
WHERE id = %s
