-- start_schedules: have a schedule go by another declaration, unless that is an earlier one.
-- Inputs: the fingerprint, when it was declared, the moment after which it ticks, now, the backend, the name, again the fingerprint, again when it was declared.
UPDATE mainspring_schedule
SET fingerprint = %s, declared_at = %s, last_tick = %s, seen_at = %s
WHERE backend = %s AND name = %s AND fingerprint <> %s AND declared_at <= %s
