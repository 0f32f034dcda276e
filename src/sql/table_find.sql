-- name: table_find
-- What the job's table is; the name is resolved once, here.
SELECT c.oid AS relation,
       n.nspname::text AS schema,
       c.relname::text AS name,
       c.relkind::text AS kind,
       c.relpersistence::text AS persistence,
       row_security_active(c.oid) AS row_security,
       c.relispartition OR NOT EXISTS (SELECT FROM pg_inherits AS i WHERE i.inhparent = c.oid)
           OR c.relkind = 'p' AS childless_or_partitioned,
       CASE WHEN c.relkind = 'p' THEN
           (SELECT array_agg(a.attname::text)
            FROM pg_partitioned_table AS p
            JOIN pg_attribute AS a ON a.attrelid = p.partrelid AND a.attnum = ANY (p.partattrs::int2[])
            WHERE p.partrelid IN (SELECT relid FROM pg_partition_tree(c.oid)))
       END AS partition_columns
FROM pg_class AS c
JOIN pg_namespace AS n ON n.oid = c.relnamespace
WHERE c.oid = to_regclass($1)::oid
