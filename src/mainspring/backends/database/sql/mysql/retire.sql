-- retire: take a worker off the register.
-- Inputs: the token.
DELETE FROM mainspring_worker WHERE token = %s
