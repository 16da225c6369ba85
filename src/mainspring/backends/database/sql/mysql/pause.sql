-- pause: have workers take nothing from a queue.
-- Inputs: the backend, the queue, now.
-- Result: the row count tells whether it was not paused before.
INSERT IGNORE INTO mainspring_pause (backend, queue_name, paused_at)
VALUES (%s, %s, %s)
