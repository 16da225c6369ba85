-- enqueue: have new jobs wait for their limits, in the transaction that has stored them.
-- Inputs (%s, as it runs on the caller's connection): -1 for the newest first, 1 for the oldest; the ids as an array.
INSERT INTO mainspring_held (id, backend, limit_group, level, place, available_at)
SELECT id, backend, limit_group, -priority, %s * available_at, available_at
FROM mainspring_job_live
WHERE id = ANY (%s) AND state = -1
ON CONFLICT (id) DO NOTHING
