-- pause_schedule: store the state of a schedule that no worker has seen, unless it is there.
-- Inputs (%s, as it runs on the caller's connection): the backend, the name, the fingerprint, when it was declared, the moment after which it ticks, now, whether it is paused.
-- Result: the row count tells whether it was not there.
INSERT OR IGNORE INTO mainspring_schedule
    (backend, name, fingerprint, declared_at, last_tick, seen_at, is_paused)
VALUES (%s, %s, %s, %s, %s, %s, %s)
