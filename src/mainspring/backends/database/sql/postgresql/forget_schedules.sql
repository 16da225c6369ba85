-- forget_schedules: delete the states of schedules that were not seen for long.
-- Inputs: $1 the backend, $2 the moment before which they were last seen.
-- Result: the row count.
DELETE FROM mainspring_schedule WHERE backend = $1 AND seen_at < $2
