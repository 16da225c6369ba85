-- read_entries: read the entries that are enabled.
-- Inputs: the backend.
-- Result: the entries, whole.
SELECT
    name, task, cron, `every`, timezone, args, kwargs, queue_name, priority, jitter, catch_up, overlap,
    changed_at
FROM mainspring_schedule_entry
WHERE backend = %s AND is_enabled
ORDER BY name
