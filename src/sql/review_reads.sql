-- name: review_reads
-- Tables and views that this transaction has named in a statement: whatever is named is locked. What a view
-- reads with its owner's privileges, and partitions of what is named, were not named themselves.
WITH named AS MATERIALIZED (
    SELECT c.oid, c.relname, c.relkind, c.relnamespace, c.reloptions
    FROM pg_locks AS l
    JOIN pg_class AS c ON c.oid = l.relation
    WHERE l.pid = pg_backend_pid()
    AND l.locktype = 'relation'
    AND l.database = (SELECT d.oid FROM pg_database AS d WHERE d.datname = current_database())
    AND c.relkind IN ('r', 'p', 'v', 'm', 'f')
)
SELECT n.nspname::text AS schema, t.relname::text AS name
FROM named AS t
JOIN pg_namespace AS n ON n.oid = t.relnamespace
WHERE n.nspname NOT IN ('pg_catalog', 'information_schema')
AND NOT EXISTS (SELECT
                FROM named AS v
                JOIN pg_rewrite AS r ON r.ev_class = v.oid
                JOIN pg_depend AS d ON d.classid = 'pg_rewrite'::regclass AND d.objid = r.oid
                WHERE v.relkind = 'v'
                AND v.oid <> t.oid
                AND d.refclassid = 'pg_class'::regclass
                AND d.refobjid = t.oid
                AND NOT EXISTS (SELECT
                                FROM pg_options_to_table(v.reloptions) AS o
                                WHERE o.option_name = 'security_invoker'
                                AND o.option_value::bool))
AND NOT EXISTS (SELECT
                FROM named AS p
                JOIN pg_inherits AS i ON i.inhparent = p.oid
                WHERE i.inhrelid = t.oid)
ORDER BY n.nspname, t.relname
