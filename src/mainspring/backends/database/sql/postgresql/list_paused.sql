-- stats: name the queues that are paused.
-- Inputs (%s, as it runs on the caller's connection): the backend.
SELECT queue_name FROM mainspring_pause WHERE backend = %s ORDER BY queue_name
