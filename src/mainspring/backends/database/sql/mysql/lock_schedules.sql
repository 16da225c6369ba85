-- tick: lock schedules, except those that others have locked to do the same.
-- Inputs: the backend, the names.
-- Result: the states, without those of their last jobs.
SELECT
    name, fingerprint, declared_at, last_tick, is_paused, seen_at, last_job_id
FROM mainspring_schedule FORCE INDEX (mainspring_schedule_name)
WHERE backend = %s AND name IN %s
ORDER BY name
FOR UPDATE SKIP LOCKED
