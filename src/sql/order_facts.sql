-- name: order_facts
-- What decides the order of a table: $1 its object id, $2 the SET columns, $3 the key's columns.
-- For a partitioned table its own (partitioned) indexes stand for those of its leaves.
SELECT coalesce((SELECT option_value::int
                 FROM pg_options_to_table(c.reloptions)
                 WHERE option_name = 'fillfactor'), 100) AS fillfactor,
       -- All but one, which is the key's. BRIN has an entry a block range, not one a row.
       (SELECT greatest(count(*) - 1, 0)
        FROM pg_index AS i
        JOIN pg_class AS x ON x.oid = i.indexrelid
        JOIN pg_am AS m ON m.oid = x.relam
        WHERE i.indrelid = c.oid
        AND i.indisready
        AND m.amname <> 'brin') AS other_indexes,
       -- Of all leaves: what an index page costs that has to be read, and is logged as a whole again.
       (SELECT sum(pg_indexes_size(t.relid)) > pg_size_bytes(current_setting('shared_buffers'))
        FROM (SELECT c.oid::regclass AS relid UNION SELECT relid FROM pg_partition_tree(c.oid)) AS t) AS large_indexes,
       -- An index that uses a SET column anywhere makes every update of it cold; BRIN does not count from
       -- version 16.
       (SELECT min(x.relname::text)
        FROM pg_index AS i
        JOIN pg_class AS x ON x.oid = i.indexrelid
        JOIN pg_am AS m ON m.oid = x.relam
        JOIN pg_attribute AS a ON a.attrelid = i.indrelid
        WHERE i.indrelid = c.oid
        AND a.attname = ANY ($2::text[])
        -- As a column of its own or INCLUDEd, or in an expression or a predicate.
        AND (a.attnum = ANY (i.indkey::int2[])
             OR EXISTS (SELECT
                        FROM pg_depend AS d
                        WHERE d.classid = 'pg_class'::regclass
                        AND d.objid = i.indexrelid
                        AND d.refclassid = 'pg_class'::regclass
                        AND d.refobjid = i.indrelid
                        AND d.refobjsubid = a.attnum))
        AND NOT (m.amname = 'brin' AND current_setting('server_version_num')::int >= 160000)) AS set_index,
       -- One plain column for each index that is not unique; a column that must not be named spoils only its
       -- own index.
       (SELECT coalesce(array_agg(DISTINCT q.attname), '{}')
        FROM pg_index AS i
        CROSS JOIN LATERAL (
            SELECT a.attname::text
            FROM unnest(i.indkey::int2[]) WITH ORDINALITY AS k (attnum, n)
            JOIN pg_attribute AS a ON a.attrelid = i.indrelid AND a.attnum = k.attnum
            WHERE k.n <= i.indnkeyatts
            AND NOT a.attname = ANY ($2::text[] || $3::text[])
            AND a.attgenerated = ''
            AND a.attidentity <> 'a'
            AND has_column_privilege(c.oid, a.attnum, 'UPDATE')
            AND has_column_privilege(c.oid, a.attnum, 'SELECT')
            -- A trigger on UPDATE OF the column would fire.
            AND NOT EXISTS (SELECT
                            FROM pg_trigger AS t
                            WHERE t.tgrelid IN (SELECT c.oid UNION SELECT relid FROM pg_partition_tree(c.oid))
                            AND a.attnum = ANY (t.tgattr::int2[]))
            -- A column of a unique index could be a foreign key's target: naming it would take a stronger row
            -- lock.
            AND NOT EXISTS (SELECT
                            FROM pg_index AS u
                            WHERE u.indrelid = c.oid
                            AND u.indisunique
                            AND a.attnum = ANY (u.indkey::int2[]))
            -- A partition key's column is left alone.
            AND NOT EXISTS (SELECT
                            FROM pg_partitioned_table AS p
                            WHERE p.partrelid = c.oid
                            AND a.attnum = ANY (p.partattrs::int2[]))
            ORDER BY k.n
            LIMIT 1
        ) AS q
        WHERE i.indrelid = c.oid
        AND NOT i.indisunique
        AND i.indisvalid) AS quiet
FROM pg_class AS c
WHERE c.oid = $1
