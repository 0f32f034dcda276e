-- name: table_names
-- For "did you mean": the tables that this role can see.
SELECT CASE WHEN pg_table_is_visible(c.oid) THEN quote_ident(c.relname)
            ELSE quote_ident(n.nspname) || '.' || quote_ident(c.relname) END
FROM pg_class AS c
JOIN pg_namespace AS n ON n.oid = c.relnamespace
WHERE c.relkind IN ('r', 'p')
AND NOT c.relispartition
AND n.nspname NOT IN ('pg_catalog', 'information_schema', 'pgbackfill')
AND n.nspname NOT LIKE 'pg\_toast%'
AND has_schema_privilege(n.oid, 'USAGE')
LIMIT 5000
