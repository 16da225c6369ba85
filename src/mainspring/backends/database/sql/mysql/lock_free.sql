-- find_locked: lock those of the given live jobs that no other transaction has locked.
-- Inputs: the ids.
-- Result: their ids.
SELECT id
FROM mainspring_job PARTITION (live) FORCE INDEX (PRIMARY)
WHERE id IN %s
FOR UPDATE SKIP LOCKED
