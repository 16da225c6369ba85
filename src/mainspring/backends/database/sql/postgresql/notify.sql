-- wake: notify the listening sessions.
-- Inputs: $1 the channel, $2 the payload.
SELECT pg_notify($1, $2)
