-- clock: return the time of the database's own clock, in microseconds since 1970.
-- Result: the moment.
SELECT CAST(round((julianday('now') - 2440587.5) * 86400000) AS INTEGER) * 1000
