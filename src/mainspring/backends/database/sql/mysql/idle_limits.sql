-- admit: list limits that may no longer be needed.
-- Inputs: now, how many.
-- Result: name.
SELECT name FROM mainspring_limit WHERE idle_at < %s LIMIT %s
