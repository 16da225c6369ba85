-- pulse: list when each registered worker last renewed its lease, by its own clock.
-- Inputs: the backend.
-- Result: worker_id, heard_at.
SELECT worker_id, heard_at FROM mainspring_worker WHERE backend = %s
