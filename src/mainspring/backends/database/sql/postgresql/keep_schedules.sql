-- keep_schedules: note down that schedules are still declared.
-- Inputs: $1 now, $2 the backend, $3 the moment before which they were last seen, $4 the names as an array.
UPDATE mainspring_schedule
SET seen_at = $1
WHERE backend = $2 AND seen_at < $3 AND name = ANY ($4::text[])
