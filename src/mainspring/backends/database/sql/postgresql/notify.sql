-- wake: tell those who listen.
-- Inputs: $1 the channel, $2 the payload.
SELECT pg_notify($1, $2)
