-- stage: make due jobs ready, the longest due first; jobs with limits start to wait for these.
-- Inputs: ?1 the backend, ?2 now, ?3 how many.
-- Result: the row count.
UPDATE mainspring_job
SET state = CASE WHEN limit_group IS NULL THEN 1 ELSE -1 END
WHERE rowid IN (
    SELECT rowid
    FROM mainspring_job
    WHERE state = 0 AND backend = ?1 AND available_at <= ?2
    ORDER BY available_at, rowid
    LIMIT ?3
)
