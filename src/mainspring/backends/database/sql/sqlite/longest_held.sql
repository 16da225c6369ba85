-- admit: choose the job that has waited longest in a limit group.
-- Inputs: ?1 the backend, ?2 the group, ?3 the queues to leave out as a JSON list.
-- Result: id, limit_group, level, place.
SELECT held.id, held.limit_group, held.level, held.place
FROM mainspring_held AS held
CROSS JOIN mainspring_job AS job ON job.id = held.id AND job.state = -1
WHERE held.backend = ?1 AND held.limit_group = ?2
    AND job.queue_name NOT IN (SELECT value FROM json_each(?3))
ORDER BY held.available_at
LIMIT 1
