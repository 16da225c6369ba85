-- resume: have workers take from a queue again.
-- Inputs (%s, as it runs on the caller's connection): the backend, the queue.
-- Result: the row count tells whether it was paused.
DELETE FROM mainspring_pause WHERE backend = %s AND queue_name = %s
