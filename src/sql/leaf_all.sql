SELECT number, relation, schema, name
FROM pgbackfill.leaf
WHERE run = $1
ORDER BY number
