-- admit: find those of some limit groups that have jobs which wait.
-- Inputs: $1 the backend, $2 the groups.
-- Result: limit_group.
SELECT wanted.limit_group
FROM unnest($2::text[]) AS wanted (limit_group)
WHERE EXISTS (
    SELECT FROM mainspring_held
    WHERE backend = $1 AND limit_group = wanted.limit_group COLLATE "C"
)
