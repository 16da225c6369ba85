-- clock: return the time of the database's own clock, in microseconds since 1970.
-- Result: the moment.
SELECT (extract(epoch FROM clock_timestamp()) * 1000000)::bigint
