-- pulse: list when each registered worker last renewed its lease, by its own clock.
-- Inputs (%s, as it runs on the caller's connection): the backend.
-- Result: worker_id, heard_at.
SELECT worker_id, heard_at FROM mainspring_worker WHERE backend = %s
