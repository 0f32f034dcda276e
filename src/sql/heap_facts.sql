-- name: heap_facts
-- What speaks against walking a table by block: $1 its object id, $2 its leaves, $3 the SET columns.
WITH trigger AS MATERIALIZED (
    SELECT t.tgname::text AS name, t.tgtype & 2 = 2 AS is_before, t.tgtype & 1 = 1 AS is_for_each_row
    FROM pg_trigger AS t
    WHERE (t.tgrelid = ANY ($2::oid[]) OR t.tgrelid = $1)
    AND NOT t.tgisinternal
    AND t.tgenabled IN ('O', 'A')
    -- On UPDATE.
    AND t.tgtype & 16 = 16
    AND (cardinality(t.tgattr::int2[]) = 0
         OR EXISTS (SELECT
                    FROM pg_attribute AS a
                    WHERE a.attrelid = t.tgrelid
                    AND a.attnum = ANY (t.tgattr::int2[])
                    AND a.attname = ANY ($3::text[])))
)
SELECT current_setting('server_version_num')::int AS version,
       (SELECT min(c.oid::regclass::text || ' is a table of the access method ' || m.amname)
        FROM pg_class AS c
        JOIN pg_am AS m ON m.oid = c.relam
        WHERE c.oid = ANY ($2::oid[])
        AND m.amname <> 'heap') AS other_access,
       current_setting('track_counts')::bool AS counts_rows,
       (SELECT min(name) FROM trigger WHERE NOT is_before) AS after_trigger,
       (SELECT min(name) FROM trigger WHERE is_for_each_row) AS row_trigger,
       (SELECT min(r.rulename::text)
        FROM pg_rewrite AS r
        WHERE (r.ev_class = ANY ($2::oid[]) OR r.ev_class = $1)
        AND r.ev_type = '2') AS rule
