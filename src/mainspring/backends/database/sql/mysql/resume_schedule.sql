-- resume_schedule: have a schedule tick again; what it has missed is not made up for.
-- Inputs: the backend, the name.
-- Result: the row count tells whether it was paused.
UPDATE mainspring_schedule
SET is_paused = FALSE,
    last_tick = GREATEST(last_tick, TIMESTAMPDIFF(MICROSECOND, '1970-01-01', UTC_TIMESTAMP(6)))
WHERE backend = %s AND name = %s AND is_paused
