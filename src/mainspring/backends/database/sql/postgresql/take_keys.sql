-- enqueue_unique: have keys that are locked stand for other jobs.
-- Inputs (%s, as it runs on the caller's connection): a JSON list of lists: key, job_id, expires_at.
UPDATE mainspring_unique
SET job_id = given ->> 1, expires_at = (given ->> 2)::bigint
FROM json_array_elements(%s::json) AS given
WHERE key = given ->> 0
