-- find_map: read the record of a map.
-- Inputs (%s, as it runs on the caller's connection): the id, the backend.
-- Result: the map, whole.
SELECT
    id, backend, task_path, options, queue_name, priority, enqueued_at, stored, is_closed,
    follow_up, level, result_id, finished_at
FROM mainspring_map
WHERE id = %s AND backend = %s
