-- stats: name the registered workers.
-- Inputs: the backend.
SELECT worker_id FROM mainspring_worker WHERE backend = %s ORDER BY worker_id
