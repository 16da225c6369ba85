-- admit: choose the first jobs that wait in a limit group, in the order of the backend.
-- Inputs: the backend, the group, the queues to leave out, how many.
-- Result: id, limit_group, level, place; locked, and none that others have.
SELECT held.id, held.limit_group, held.level, held.place
FROM mainspring_held AS held FORCE INDEX (mainspring_held_order)
STRAIGHT_JOIN mainspring_job PARTITION (live) AS job FORCE INDEX (PRIMARY)
    ON job.id = held.id AND job.state = -1
WHERE held.backend = %s AND held.limit_group = %s AND job.queue_name NOT IN %s
ORDER BY held.level, held.place
LIMIT %s
FOR UPDATE SKIP LOCKED
