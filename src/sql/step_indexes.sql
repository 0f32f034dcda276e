-- name: step_indexes
-- The valid indexes of a table that belong to no index of a parent, each with what it is made of, and those
-- that do.
SELECT c.oid AS relation,
       c.relname::text AS name,
       n.nspname::text AS schema,
       i.indisvalid AS valid,
       CASE WHEN i.indisunique THEN 'UNIQUE ' ELSE '' END
           -- Behind the name of the index, and then behind that of its table.
           || substr(def.text, strpos(def.text, '.' || quote_ident(t.relname) || ' USING ') + length(quote_ident(t.relname)) + 2) AS definition,
       h.inhparent AS attached_to
FROM pg_index AS i
JOIN pg_class AS c ON c.oid = i.indexrelid
JOIN pg_class AS t ON t.oid = i.indrelid
JOIN pg_namespace AS n ON n.oid = c.relnamespace
LEFT JOIN pg_inherits AS h ON h.inhrelid = c.oid
CROSS JOIN LATERAL (SELECT substr(pg_get_indexdef(i.indexrelid), length('CREATE INDEX ' || quote_ident(c.relname))) AS text) AS def
WHERE i.indrelid = $1
ORDER BY c.oid
