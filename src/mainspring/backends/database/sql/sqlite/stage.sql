-- stage: make deferred jobs that are due ready, the longest due first.
-- Inputs: ?1 the backend, ?2 now, ?3 how many.
-- Result: the row count.
UPDATE mainspring_job
SET state = 1
WHERE rowid IN (
    SELECT rowid
    FROM mainspring_job
    WHERE state = 0 AND backend = ?1 AND available_at <= ?2
    ORDER BY available_at
    LIMIT ?3
)
