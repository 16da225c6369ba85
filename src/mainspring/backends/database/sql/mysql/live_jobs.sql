-- find_locked: list those of the given jobs that are waiting or running.
-- Inputs: the ids.
-- Result: their ids.
SELECT id
FROM mainspring_job PARTITION (live) FORCE INDEX (PRIMARY)
WHERE id IN %s
