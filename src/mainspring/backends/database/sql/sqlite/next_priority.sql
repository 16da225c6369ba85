-- claim: find the next lower priority that has ready jobs in a queue, and its oldest job's age.
-- Inputs: ?1 the backend, ?2 the queue, ?3 the priority below which to look.
-- Result: the priority and the moment from which its oldest job was available, or no row.
SELECT priority, (
    SELECT available_at
    FROM mainspring_job AS oldest
    WHERE state = 1 AND backend = ?1 AND queue_name = ?2 AND oldest.priority = first.priority
    ORDER BY available_at
    LIMIT 1
)
FROM mainspring_job AS first
WHERE state = 1 AND backend = ?1 AND queue_name = ?2 AND priority < ?3
ORDER BY priority DESC
LIMIT 1
