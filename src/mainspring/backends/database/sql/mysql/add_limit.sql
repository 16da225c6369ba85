-- admit: add a limit that has admitted no calls so far.
-- Inputs: the name, from when it is of no use.
INSERT INTO mainspring_limit (name, used, idle_at)
VALUES (%s, '', %s)
ON DUPLICATE KEY UPDATE name = mainspring_limit.name
