-- name: step_tree
-- A table and what is below it, parents first.
SELECT c.oid AS relation,
       n.nspname::text AS schema,
       c.relname::text AS name,
       coalesce(tree.parentrelid::oid, 0::oid) AS parent,
       c.relkind = 'p' AS partitioned,
       c.relkind = 'f' AS elsewhere
FROM pg_class AS c
JOIN pg_namespace AS n ON n.oid = c.relnamespace
JOIN (
    SELECT relid::oid AS relid, parentrelid, level
    FROM pg_partition_tree($1::oid::regclass)
    UNION ALL
    -- A table that is no partition and has none is in no tree.
    SELECT $1::oid, NULL, 0
    WHERE NOT EXISTS (SELECT FROM pg_partition_tree($1::oid::regclass))
) AS tree ON tree.relid = c.oid
ORDER BY tree.level, c.oid
