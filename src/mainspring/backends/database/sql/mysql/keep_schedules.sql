-- keep_schedules: note down that schedules are still declared.
-- Inputs: now, the backend, the moment before which they were last seen, the names.
UPDATE mainspring_schedule FORCE INDEX (mainspring_schedule_name)
SET seen_at = %s
WHERE backend = %s AND seen_at < %s AND name IN %s
