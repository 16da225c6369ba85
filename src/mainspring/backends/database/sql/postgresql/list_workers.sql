-- stats: name the registered workers.
-- Inputs (%s, as it runs on the caller's connection): the backend.
SELECT worker_id FROM mainspring_worker WHERE backend = %s ORDER BY worker_id
