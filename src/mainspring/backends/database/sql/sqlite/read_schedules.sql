-- read_schedules: read how far schedules have come.
-- Inputs: ?1 the backend, ?2 the names as a JSON list.
-- Result: the states; of their last jobs, the state.
SELECT
    name, fingerprint, declared_at, last_tick, is_paused, seen_at, last_job_id,
    (SELECT state FROM mainspring_job WHERE id = last_job_id)
FROM mainspring_schedule
WHERE backend = ?1 AND name IN (SELECT value FROM json_each(?2))
