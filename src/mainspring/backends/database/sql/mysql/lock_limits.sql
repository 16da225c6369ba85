-- admit: lock limits, all in one order and without waiting long, and read which calls they have admitted.
-- Inputs: the names of the limits.
-- Result: name, used.
SELECT name, used
FROM mainspring_limit FORCE INDEX (PRIMARY)
WHERE name IN %s
ORDER BY name
FOR UPDATE /*M! WAIT 1 */
