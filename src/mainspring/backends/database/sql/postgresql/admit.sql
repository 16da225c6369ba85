-- admit: make jobs ready that were chosen, and so locked, in the same transaction; and write which calls
-- the limits, which are locked as well, have admitted.
-- Inputs: $1 the ids, $2 the names of the limits, $3 used, $4 from when each may be of no use, as arrays.
WITH gone AS (
    DELETE FROM mainspring_held WHERE id = ANY ($1::text[])
), saved AS (
    UPDATE mainspring_limit AS held
    SET used = new.used, idle_at = new.idle_at
    FROM unnest($2::text[], $3::bytea[], $4::bigint[]) AS new (name, used, idle_at)
    WHERE held.name = new.name COLLATE "C"
)
UPDATE mainspring_job_live
SET state = 1
WHERE id = ANY ($1::text[]) AND state = -1
