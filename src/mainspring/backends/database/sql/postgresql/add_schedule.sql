-- start_schedules: store the state of a schedule, unless it is there.
-- Inputs: $1 the backend, $2 the name, $3 the fingerprint, $4 when it was declared, $5 the moment after which it ticks, $6 now, $7 whether it is paused.
INSERT INTO mainspring_schedule
    (backend, name, fingerprint, declared_at, last_tick, seen_at, is_paused)
VALUES ($1, $2, $3, $4, $5, $6, $7)
ON CONFLICT (backend, name) DO NOTHING
