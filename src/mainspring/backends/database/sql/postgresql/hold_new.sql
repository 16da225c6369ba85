-- tick: have new jobs wait for their limits, on a worker's connection.
-- Inputs: $1 -1 for the newest first, 1 for the oldest, $2 the ids as an array.
INSERT INTO mainspring_held (id, backend, limit_group, level, place, available_at)
SELECT id, backend, limit_group, -priority, $1::int * available_at, available_at
FROM mainspring_job_live
WHERE id = ANY ($2::text[]) AND state = -1
ON CONFLICT (id) DO NOTHING
