SELECT number, relation, name
FROM pgbackfill.leaf
WHERE run = $1
ORDER BY number
