-- open_map: store the record of a new map, unless it is there.
-- Inputs (%s, as it runs on the caller's connection): the columns of a map.
INSERT INTO mainspring_map
    (id, backend, task_path, options, queue_name, priority, enqueued_at, stored, is_closed,
     follow_up, level, result_id, finished_at)
VALUES (%s, %s, %s, %s, %s, %s, %s, %s, %s, %s, %s, %s, %s)
ON CONFLICT (id) DO NOTHING
