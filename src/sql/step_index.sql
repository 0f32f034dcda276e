-- name: step_index
-- What has this name in the schema of this table: an index of it with what it is made of, from USING on, or
-- something else (no table then). And, as long as it is not valid, a session that may be building it: the one that
-- the progress view names, or, as that does not show what other roles build, any that holds the lock of a builder
-- on the table.
SELECT c.oid AS relation,
       i.indrelid IS NOT DISTINCT FROM t.oid AS of_the_table,
       coalesce(i.indisvalid, false) AS valid,
       CASE WHEN i.indisunique THEN 'UNIQUE ' ELSE '' END
           -- Behind the name of the index, and then behind that of its table.
           || substr(def.text, strpos(def.text, '.' || quote_ident(t.relname) || ' USING ') + length(quote_ident(t.relname)) + 2) AS definition,
       CASE WHEN i.indisvalid IS NOT TRUE THEN coalesce(
           (SELECT p.pid FROM pg_stat_progress_create_index AS p WHERE p.index_relid = c.oid LIMIT 1),
           (SELECT l.pid FROM pg_locks AS l
            WHERE l.locktype = 'relation'
            AND l.database = (SELECT oid FROM pg_database WHERE datname = current_database())
            AND l.relation = t.oid
            AND l.mode = 'ShareUpdateExclusiveLock'
            AND l.granted
            AND l.pid <> pg_backend_pid()
            AND l.pid IS DISTINCT FROM $3
            LIMIT 1)) END AS builder,
       h.inhparent AS attached_to
FROM pg_class AS t
JOIN pg_class AS c ON c.relnamespace = t.relnamespace AND c.relname = $2
LEFT JOIN pg_index AS i ON i.indexrelid = c.oid
LEFT JOIN pg_inherits AS h ON h.inhrelid = c.oid
CROSS JOIN LATERAL (SELECT substr(pg_get_indexdef(i.indexrelid), length('CREATE INDEX ' || quote_ident(c.relname))) AS text) AS def
WHERE t.oid = $1
