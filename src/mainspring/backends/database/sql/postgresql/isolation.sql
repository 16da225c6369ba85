-- isolation: return the isolation level of the current transaction.
-- Result: the level.
SHOW transaction_isolation
