-- find_locked: lock those of some jobs that wait or run which nobody else has locked.
-- Inputs: the ids.
-- Result: their ids.
SELECT id
FROM mainspring_job PARTITION (live) FORCE INDEX (PRIMARY)
WHERE id IN %s
FOR UPDATE SKIP LOCKED
