-- enqueue_unique: add a row for each key if missing, and lock it.
-- Inputs (%s, as it runs on the caller's connection): a JSON list of lists: key, job_id, expires_at.
-- Result: key, job_id, expires_at: as given where the row is new, else as they were.
INSERT INTO mainspring_unique (key, job_id, expires_at)
SELECT given ->> 0, given ->> 1, (given ->> 2)::bigint
FROM json_array_elements(%s::json) AS given
ON CONFLICT (key) DO UPDATE SET job_id = mainspring_unique.job_id
RETURNING key, job_id, expires_at
