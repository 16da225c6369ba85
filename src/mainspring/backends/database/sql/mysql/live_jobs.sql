-- find_locked: list those of some jobs that wait or run.
-- Inputs: the ids.
-- Result: their ids.
SELECT id
FROM mainspring_job PARTITION (live) FORCE INDEX (PRIMARY)
WHERE id IN %s
