-- name: version_found
-- What stands under our name, and what this role may do with it. From the catalog's rows, which answer every
-- role: to_regclass wants privileges, and answers from the session's cache, which says "no such schema" even
-- after another session has installed it while we waited for the lock.
SELECT current_user::text AS "user",
       current_setting('default_transaction_read_only')::bool AS read_only,
       -- Our own table of versions, or something else, of which one name is told.
       coalesce(bool_or(c.relname = 'version' AND EXISTS (SELECT FROM pg_catalog.pg_attribute AS a
                                                          WHERE a.attrelid = c.oid
                                                          AND a.attname = 'installed_by')), false) AS installed,
       min(c.relname::text) AS something,
       bool_and(has_schema_privilege(n.oid, 'USAGE') AND has_table_privilege(c.oid, 'SELECT')) AS may_read,
       bool_and(c.relname = 'version'
                OR has_table_privilege(c.oid, 'INSERT') AND has_table_privilege(c.oid, 'UPDATE')
                    AND has_table_privilege(c.oid, 'DELETE')) AS may_write
FROM pg_catalog.pg_class AS c
JOIN pg_catalog.pg_namespace AS n ON n.oid = c.relnamespace
WHERE n.nspname = 'pgbackfill'
AND c.relkind NOT IN ('i', 'S')
