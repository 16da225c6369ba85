-- pause: have workers take nothing from a queue.
-- Inputs (%s, as it runs on the caller's connection): the backend, the queue, now.
-- Result: the row count tells whether it was not paused before.
INSERT INTO mainspring_pause (backend, queue_name, paused_at)
VALUES (%s, %s, %s)
ON CONFLICT DO NOTHING
