-- admit: choose the job that has waited longest in a limit group.
-- Inputs: the backend, the group, the queues to leave out.
-- Result: id, limit_group, level, place; locked, and none that others have.
SELECT held.id, held.limit_group, held.level, held.place
FROM mainspring_held AS held FORCE INDEX (mainspring_held_age)
STRAIGHT_JOIN mainspring_job PARTITION (live) AS job FORCE INDEX (PRIMARY)
    ON job.id = held.id AND job.state = -1
WHERE held.backend = %s AND held.limit_group = %s AND job.queue_name NOT IN %s
ORDER BY held.available_at
LIMIT 1
FOR UPDATE SKIP LOCKED
