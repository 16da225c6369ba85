-- stage: let due jobs wait for their limits, before the same transaction stages them.
-- Inputs: ?1 the backend, ?2 now, ?3 how many, ?4 -1 for the newest first, 1 for the oldest.
INSERT INTO mainspring_held (id, backend, limit_group, level, place, available_at)
SELECT id, backend, limit_group, -priority, ?4 * available_at, available_at
FROM (
    SELECT id, backend, limit_group, priority, available_at
    FROM mainspring_job
    WHERE state = 0 AND backend = ?1 AND available_at <= ?2
    ORDER BY available_at, rowid
    LIMIT ?3
)
WHERE limit_group IS NOT NULL
