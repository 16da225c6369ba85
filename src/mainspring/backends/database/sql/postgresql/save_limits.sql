-- admit: write which calls limits have admitted; they are locked.
-- Inputs: $1 the names, $2 used, $3 from when each may be of no use, as arrays.
UPDATE mainspring_limit AS held
SET used = new.used, idle_at = new.idle_at
FROM unnest($1::text[], $2::bytea[], $3::bigint[]) AS new (name, used, idle_at)
WHERE held.name = new.name COLLATE "C"
