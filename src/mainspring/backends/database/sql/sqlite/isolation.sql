-- isolation: return the isolation level of all transactions.
-- Result: the level.
SELECT 'serializable'
