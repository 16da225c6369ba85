-- pause_schedule: have a schedule not tick.
-- Inputs: the backend, the name.
-- Result: the row count tells whether that is new.
UPDATE mainspring_schedule
SET is_paused = TRUE
WHERE backend = %s AND name = %s AND NOT is_paused
