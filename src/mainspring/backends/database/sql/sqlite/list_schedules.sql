-- list_schedules: read how far all schedules have come.
-- Inputs (%s, as it runs on the caller's connection): the backend.
-- Result: the states; of their last jobs, the state.
SELECT
    name, fingerprint, declared_at, last_tick, is_paused, seen_at, last_job_id,
    (SELECT state FROM mainspring_job WHERE id = last_job_id)
FROM mainspring_schedule
WHERE backend = %s
ORDER BY name
