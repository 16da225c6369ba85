-- isolation: name the isolation level of the present transaction.
-- Result: the level.
SHOW transaction_isolation
