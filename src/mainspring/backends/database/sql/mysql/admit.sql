-- admit: make jobs ready that were chosen, and so locked, in the same transaction.
-- Inputs: the ids.
UPDATE mainspring_job PARTITION (live) FORCE INDEX (PRIMARY)
SET state = 1
WHERE id IN %s AND state = -1
