-- name: leaves
-- The leaves below the target as the catalog has them now; a plain table is its own and only leaf. $2 the key's
-- columns, $3 the privileges that the role needs on each leaf, or on columns of it.
SELECT c.oid AS relation,
       n.nspname::text AS schema,
       c.relname::text AS name,
       c.relkind::text AS kind,
       -- Never analyzed (-1, and 0 without pages before version 14): then about 100 bytes a row is assumed.
       CASE WHEN c.reltuples < 0 OR c.relpages = 0 THEN pg_relation_size(c.oid) / 100 ELSE c.reltuples END::bigint AS rows_estimated,
       pg_relation_size(c.oid) / current_setting('block_size')::bigint AS blocks,
       (SELECT coalesce(bool_and(CASE WHEN p.privilege IN ('SELECT', 'INSERT', 'UPDATE')
                                      THEN has_any_column_privilege(c.oid, p.privilege)
                                      ELSE has_table_privilege(c.oid, p.privilege) END), true)
        FROM unnest($3::text[]) AS p (privilege)) AS may_change,
       (SELECT string_agg(concat_ws(' ', a.attname, a.atttypid::regtype, a.attcollation), ', ' ORDER BY a.attname)
        FROM pg_attribute AS a
        WHERE a.attrelid = c.oid
        AND a.attname = ANY ($2::text[])) AS shape
FROM pg_class AS c
JOIN pg_namespace AS n ON n.oid = c.relnamespace
WHERE c.oid = $1 AND c.relkind <> 'p'
OR c.oid IN (SELECT t.relid FROM pg_partition_tree($1::oid::regclass) AS t WHERE t.isleaf AND t.relid <> $1::oid::regclass)
ORDER BY n.nspname, c.relname
