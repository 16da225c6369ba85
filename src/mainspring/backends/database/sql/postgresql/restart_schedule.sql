-- start_schedules: have a schedule go by another declaration, unless that is an earlier one.
-- Inputs: $1 the fingerprint, $2 when it was declared, $3 the moment after which it ticks, $4 now, $5 the backend, $6 the name, $7 again the fingerprint, $8 again when it was declared.
UPDATE mainspring_schedule
SET fingerprint = $1, declared_at = $2, last_tick = $3, seen_at = $4
WHERE backend = $5 AND name = $6 AND fingerprint <> $7 AND declared_at <= $8
