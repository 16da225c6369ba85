-- forget_schedules: delete the states of schedules that were not seen for long.
-- Inputs: the backend, the moment before which they were last seen.
-- Result: the row count.
DELETE FROM mainspring_schedule WHERE backend = %s AND seen_at < %s
