-- pause_schedule: have a schedule not tick.
-- Inputs (%s, as it runs on the caller's connection): the backend, the name.
-- Result: the row count tells whether that is new.
UPDATE mainspring_schedule
SET is_paused = 1
WHERE backend = %s AND name = %s AND NOT is_paused
