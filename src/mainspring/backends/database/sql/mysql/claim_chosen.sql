-- claim: take jobs that were chosen, and so locked, in the same transaction.
-- Inputs: the claim, the ids.
UPDATE mainspring_job PARTITION (live) FORCE INDEX (PRIMARY)
SET state = 2, claim = %s
WHERE id IN %s AND state = 1
