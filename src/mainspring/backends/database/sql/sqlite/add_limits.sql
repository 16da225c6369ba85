-- admit: add limits that have admitted no calls so far.
-- Inputs: ?1 the names as a JSON list, ?2 from when they are of no use.
INSERT OR IGNORE INTO mainspring_limit (name, used, idle_at)
SELECT value, x'', ?2 FROM json_each(?1)
