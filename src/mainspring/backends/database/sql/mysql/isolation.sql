-- isolation: return the isolation level of the session; MariaDB and MySQL have different names for it.
-- Result: variable, level.
SHOW VARIABLES WHERE Variable_name IN ('transaction_isolation', 'tx_isolation')
