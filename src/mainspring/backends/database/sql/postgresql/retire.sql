-- retire: take a worker off the register.
-- Inputs: $1 the token.
DELETE FROM mainspring_worker WHERE token = $1
