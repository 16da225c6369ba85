-- read_entries: read the entries that are enabled.
-- Inputs: ?1 the backend.
-- Result: the entries, whole.
SELECT
    name, task, cron, every, timezone, args, kwargs, queue_name, priority, jitter, catch_up, overlap,
    changed_at
FROM mainspring_schedule_entry
WHERE backend = ?1 AND is_enabled
ORDER BY name
