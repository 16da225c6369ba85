-- admit: list limits that may be of no more use.
-- Inputs: now, how many.
-- Result: name.
SELECT name FROM mainspring_limit WHERE idle_at < %s LIMIT %s
