-- stage: make deferred jobs ready that were chosen in the same transaction; those with limits, wait for these.
-- Inputs: the ids.
UPDATE mainspring_job PARTITION (live) FORCE INDEX (PRIMARY)
SET state = IF(limit_group IS NULL, 1, -1)
WHERE id IN %s AND state = 0
