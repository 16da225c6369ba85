-- enqueue_unique: have keys that are locked stand for other jobs.
-- Inputs (%s, as it runs on the caller's connection): a JSON list of lists: key, job_id, expires_at.
UPDATE mainspring_unique
SET job_id = given.job_id, expires_at = given.expires_at
FROM (
    SELECT
        json_extract(value, '$[0]') AS key, json_extract(value, '$[1]') AS job_id,
        json_extract(value, '$[2]') AS expires_at
    FROM json_each(%s)
) AS given
WHERE mainspring_unique.key = given.key
