-- name: table_columns
SELECT a.attname::text AS name,
       CASE WHEN t.typtype = 'd' THEN t.typbasetype ELSE t.oid END AS base_type,
       format_type(a.atttypid, a.atttypmod) AS type_name,
       -- The same whatever the search path is.
       CASE WHEN n.nspname = 'pg_catalog' THEN format_type(a.atttypid, a.atttypmod)
            ELSE format('%I.%I', n.nspname, t.typname) END AS full_type,
       (SELECT b.typcategory::text
        FROM pg_type AS b
        WHERE b.oid = CASE WHEN t.typtype = 'd' THEN t.typbasetype ELSE t.oid END) AS type_category,
       t.typlen AS type_length,
       -- From version 18 on it is marked, too, where the rows were not looked at.
       a.attnotnull AND NOT EXISTS (
           SELECT FROM pg_constraint AS c
           WHERE c.conrelid = a.attrelid AND c.contype = 'n' AND c.conkey = ARRAY[a.attnum] AND NOT c.convalidated
       ) AS not_null,
       a.attgenerated <> '' AS generated,
       a.attidentity = 'a' AS identity_always
FROM pg_attribute AS a
JOIN pg_type AS t ON t.oid = a.atttypid
JOIN pg_namespace AS n ON n.oid = t.typnamespace
WHERE a.attrelid = $1
AND a.attnum > 0
AND NOT a.attisdropped
ORDER BY a.attnum
