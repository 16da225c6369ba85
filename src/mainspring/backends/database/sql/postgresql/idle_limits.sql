-- admit: list limits that may be of no more use.
-- Inputs: $1 now, $2 how many.
-- Result: name.
SELECT name FROM mainspring_limit WHERE idle_at < $1 LIMIT $2
