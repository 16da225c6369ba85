-- clock: return the time of the database's own clock, in microseconds since 1970.
-- Result: the moment.
SELECT TIMESTAMPDIFF(MICROSECOND, '1970-01-01', UTC_TIMESTAMP(6))
