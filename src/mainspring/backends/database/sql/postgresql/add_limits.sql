-- admit: add limits that have admitted no calls so far.
-- Inputs: $1 the names, $2 from when they are of no use.
INSERT INTO mainspring_limit (name, used, idle_at)
SELECT name, '', $2
FROM unnest($1::text[]) AS new (name)
ORDER BY name COLLATE "C"
ON CONFLICT (name) DO NOTHING
