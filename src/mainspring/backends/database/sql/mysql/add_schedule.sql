-- start_schedules: store the state of a schedule, unless it is there.
-- Inputs: the backend, the name, the fingerprint, when it was declared, the moment after which it ticks, now, whether it is paused.
INSERT IGNORE INTO mainspring_schedule
    (backend, name, fingerprint, declared_at, last_tick, seen_at, is_paused)
VALUES (%s, %s, %s, %s, %s, %s, %s)
