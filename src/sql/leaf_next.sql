-- One worker at a time moves a leaf's frontier; the others wait the few milliseconds that takes.
SELECT number, relation, schema, name, bound, frontier
FROM pgbackfill.leaf
WHERE run = $1
AND state = 'open'
ORDER BY number
LIMIT 1
FOR UPDATE
