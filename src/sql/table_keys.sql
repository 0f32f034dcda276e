-- name: table_keys
-- Indexes that can serve as a key: unique, btree, on plain columns, whole, valid, in the type's own order.
SELECT i.indisprimary AS is_primary,
       x.relname::text AS index_name,
       array_agg(a.attname::text ORDER BY k.n) AS columns,
       array_agg(CASE WHEN i.indcollation[k.n - 1] <> a.attcollation THEN cn.nspname END::text ORDER BY k.n) AS collation_schemas,
       array_agg(CASE WHEN i.indcollation[k.n - 1] <> a.attcollation THEN co.collname END::text ORDER BY k.n) AS collations
FROM pg_index AS i
JOIN pg_class AS x ON x.oid = i.indexrelid
JOIN pg_am AS m ON m.oid = x.relam AND m.amname = 'btree'
CROSS JOIN LATERAL unnest(i.indkey::int2[]) WITH ORDINALITY AS k (attnum, n)
JOIN pg_attribute AS a ON a.attrelid = i.indrelid AND a.attnum = k.attnum
JOIN pg_opclass AS o ON o.oid = i.indclass[k.n - 1] AND (o.opcdefault OR o.opcname = 'varchar_ops')
LEFT JOIN pg_collation AS co ON co.oid = i.indcollation[k.n - 1]
LEFT JOIN pg_namespace AS cn ON cn.oid = co.collnamespace
WHERE i.indrelid = $1
AND i.indisunique
AND i.indisvalid
AND i.indpred IS NULL
AND k.n <= i.indnkeyatts
GROUP BY i.indexrelid, i.indisprimary, x.relname, i.indnkeyatts, i.indoption
-- Every key column was joined, and all of them run in the same direction, so that a row comparison can use
-- the index.
HAVING count(*) = i.indnkeyatts
AND (SELECT count(DISTINCT d.flag & 1) FROM unnest(i.indoption::int2[]) AS d (flag)) = 1
ORDER BY i.indisprimary DESC, x.relname
