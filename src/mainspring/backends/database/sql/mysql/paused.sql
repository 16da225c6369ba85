-- claim: find out which queues are paused.
-- Inputs: the backend.
-- Result: queue_name.
SELECT queue_name FROM mainspring_pause WHERE backend = %s
