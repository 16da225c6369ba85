-- resume_schedule: have a schedule tick again; what it has missed is not made up for.
-- Inputs (%s, as it runs on the caller's connection): the backend, the name.
-- Result: the row count tells whether it was paused.
UPDATE mainspring_schedule
SET is_paused = 0,
    last_tick = max(last_tick, CAST(round((julianday('now') - 2440587.5) * 86400000) AS INTEGER) * 1000)
WHERE backend = %s AND name = %s AND is_paused
