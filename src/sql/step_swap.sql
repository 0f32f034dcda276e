-- name: step_swap
-- What belongs to the first of two columns and would stay with it when they swap their names.
SELECT CASE WHEN old.attidentity <> '' OR new.attidentity <> '' THEN 'an identity'
            WHEN old.attgenerated <> '' OR new.attgenerated <> '' THEN 'generated'
            WHEN pg_get_serial_sequence(c.oid::regclass::text, old.attname) IS NOT NULL THEN 'serial'
            WHEN EXISTS (SELECT FROM pg_partitioned_table AS p
                         WHERE p.partrelid IN (SELECT relid FROM pg_partition_tree(c.oid) UNION SELECT c.oid)
                         AND (p.partattrs::int2[] && ARRAY[old.attnum, new.attnum])) THEN 'part of the partition key'
       END AS special,
       (SELECT string_agg(format('%s of %s', con.conname, con.conrelid::regclass), ', ')
        FROM pg_constraint AS con
        WHERE con.contype IN ('p', 'u', 'x', 'f')
        AND (con.conrelid = c.oid AND old.attnum = ANY (con.conkey)
             OR con.confrelid = c.oid AND old.attnum = ANY (con.confkey))) AS constraints,
       old.attacl::text IS DISTINCT FROM new.attacl::text AS privileges_differ,
       old.atthasdef AND NOT new.atthasdef AS lacks_default
FROM pg_class AS c
JOIN pg_attribute AS old ON old.attrelid = c.oid AND old.attname = $2
JOIN pg_attribute AS new ON new.attrelid = c.oid AND new.attname = $3
WHERE c.oid = $1
