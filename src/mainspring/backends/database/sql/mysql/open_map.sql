-- open_map: store the record of a new map, unless it is there.
-- Inputs: the columns of a map.
INSERT INTO mainspring_map
    (id, backend, task_path, options, queue_name, priority, enqueued_at, `stored`, is_closed,
     follow_up, level, result_id, finished_at)
VALUES (%s, %s, %s, %s, %s, %s, %s, %s, %s, %s, %s, %s, %s)
ON DUPLICATE KEY UPDATE id = id
