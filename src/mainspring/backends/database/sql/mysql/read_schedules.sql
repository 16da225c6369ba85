-- read_schedules: read how far schedules have come.
-- Inputs: the backend, the names.
-- Result: the states; of their last jobs, the state.
SELECT
    name, fingerprint, declared_at, last_tick, is_paused, seen_at, last_job_id,
    (SELECT state FROM mainspring_job FORCE INDEX (PRIMARY) WHERE id = last_job_id)
FROM mainspring_schedule FORCE INDEX (mainspring_schedule_name)
WHERE backend = %s AND name IN %s
