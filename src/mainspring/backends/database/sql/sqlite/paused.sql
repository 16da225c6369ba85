-- claim: find out which queues are paused.
-- Inputs: ?1 the backend.
-- Result: queue_name.
SELECT queue_name FROM mainspring_pause WHERE backend = ?1
