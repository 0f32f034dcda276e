-- name: table_columns
SELECT a.attname::text AS name,
       CASE WHEN t.typtype = 'd' THEN t.typbasetype ELSE t.oid END AS base_type,
       format_type(a.atttypid, a.atttypmod) AS type_name,
       -- From version 18 on it is marked, too, where the rows were not looked at.
       a.attnotnull AND NOT EXISTS (
           SELECT FROM pg_constraint AS c
           WHERE c.conrelid = a.attrelid AND c.contype = 'n' AND c.conkey = ARRAY[a.attnum] AND NOT c.convalidated
       ) AS not_null,
       a.attgenerated <> '' AS generated,
       a.attidentity = 'a' AS identity_always
FROM pg_attribute AS a
JOIN pg_type AS t ON t.oid = a.atttypid
WHERE a.attrelid = $1
AND a.attnum > 0
AND NOT a.attisdropped
ORDER BY a.attnum
