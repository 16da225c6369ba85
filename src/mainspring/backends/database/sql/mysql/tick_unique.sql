-- tick: have a schedule come as far as a tick, if it is where it is taken to be; locks it.
-- Inputs: the tick, now, the backend, the name, the fingerprint, the last tick.
-- Result: the row count tells whether it was.
UPDATE mainspring_schedule
SET last_tick = %s, seen_at = %s
WHERE backend = %s AND name = %s AND fingerprint = %s AND last_tick = %s AND NOT is_paused
