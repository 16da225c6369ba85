-- admit: choose the first jobs that wait in a limit group, in the order of the backend.
-- Inputs: ?1 the backend, ?2 the group, ?3 the queues to leave out as a JSON list, ?4 how many.
-- Result: id, limit_group, level, place.
SELECT held.id, held.limit_group, held.level, held.place
FROM mainspring_held AS held
CROSS JOIN mainspring_job AS job ON job.id = held.id AND job.state = -1
WHERE held.backend = ?1 AND held.limit_group = ?2
    AND job.queue_name NOT IN (SELECT value FROM json_each(?3))
ORDER BY held.level, held.place
LIMIT ?4
