-- resume_schedule: have a schedule tick again; what it has missed is not made up for.
-- Inputs (%s, as it runs on the caller's connection): the backend, the name.
-- Result: the row count tells whether it was paused.
UPDATE mainspring_schedule
SET is_paused = false,
    last_tick = greatest(last_tick, (extract(epoch FROM clock_timestamp()) * 1000000)::bigint)
WHERE backend = %s AND name = %s AND is_paused
