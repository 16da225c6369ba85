-- entries_mark: find out whether entries have changed, one of them or their number.
-- Inputs: $1 the backend.
-- Result: two numbers that tell.
SELECT count(*), coalesce(sum(changed_at % 1000000007), 0)
FROM mainspring_schedule_entry
WHERE backend = $1 AND is_enabled
