-- admit: list limits that may no longer be needed.
-- Inputs: $1 now, $2 how many.
-- Result: name.
SELECT name FROM mainspring_limit WHERE idle_at < $1 LIMIT $2
