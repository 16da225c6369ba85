-- tick: read how far schedules have come, under the lock of the transaction.
-- Inputs: ?1 the backend, ?2 the names as a JSON list.
-- Result: the states, without those of their last jobs.
SELECT
    name, fingerprint, declared_at, last_tick, is_paused, seen_at, last_job_id
FROM mainspring_schedule
WHERE backend = ?1 AND name IN (SELECT value FROM json_each(?2))
