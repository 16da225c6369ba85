-- tick: lock schedules, except those that others have locked to do the same.
-- Inputs: $1 the backend, $2 the names as an array.
-- Result: the states, without those of their last jobs.
SELECT
    name, fingerprint, declared_at, last_tick, is_paused, seen_at, last_job_id
FROM mainspring_schedule
WHERE backend = $1 AND name = ANY ($2::text[])
ORDER BY name
FOR UPDATE SKIP LOCKED
