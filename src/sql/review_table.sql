-- name: review_table
-- What a person should know about a table before its rows are changed: $1 its object id, $2 the SET columns,
-- $3 its leaves.
WITH published AS MATERIALIZED (
    SELECT p.pubname::text AS publication, g.relid
    FROM pg_publication AS p
    CROSS JOIN LATERAL pg_get_publication_tables(p.pubname) AS g
    WHERE p.pubupdate
), changed AS MATERIALIZED (
    SELECT a.attnum
    FROM pg_attribute AS a
    WHERE a.attrelid = $1
    AND a.attname = ANY ($2::text[])
)
SELECT jsonb_build_object(
    'heap_bytes', (SELECT coalesce(sum(pg_relation_size(l.oid)), 0)::bigint FROM unnest($3::oid[]) AS l (oid)),
    'index_bytes', (SELECT coalesce(sum(pg_indexes_size(l.oid)), 0)::bigint FROM unnest($3::oid[]) AS l (oid)),
    'rows_live', (SELECT coalesce(sum(pg_stat_get_live_tuples(l.oid)), 0)::bigint FROM unnest($3::oid[]) AS l (oid)),
    'rows_dead', (SELECT coalesce(sum(pg_stat_get_dead_tuples(l.oid)), 0)::bigint FROM unnest($3::oid[]) AS l (oid)),
    'autovacuum_off', (SELECT coalesce(jsonb_agg(c.oid::regclass::text ORDER BY c.oid), '[]')
                       FROM pg_class AS c
                       CROSS JOIN LATERAL pg_options_to_table(c.reloptions) AS o
                       WHERE c.oid = ANY ($3::oid[])
                       AND o.option_name = 'autovacuum_enabled'
                       AND NOT o.option_value::bool),
    'row_security', (SELECT c.relrowsecurity FROM pg_class AS c WHERE c.oid = $1),
    -- Those that an UPDATE of the SET columns fires. The leaves' copies of a partitioned table's triggers
    -- have a parent; its statement triggers do not fire for a leaf.
    'triggers', (SELECT coalesce(jsonb_agg(jsonb_build_object(
                                     'name', t.tgname,
                                     'table', t.tgrelid::regclass::text,
                                     'timing', CASE WHEN t.tgtype & 2 = 2 THEN 'BEFORE' ELSE 'AFTER' END,
                                     'each_row', t.tgtype & 1 = 1,
                                     'function', t.tgfoid::regproc::text) ORDER BY t.tgrelid, t.tgname), '[]')
                 FROM pg_trigger AS t
                 WHERE (t.tgrelid = ANY ($3::oid[]) OR t.tgrelid = $1 AND t.tgtype & 1 = 1)
                 AND NOT t.tgisinternal
                 AND t.tgparentid = 0
                 AND t.tgenabled IN ('O', 'A')
                 AND t.tgtype & 16 = 16
                 AND (cardinality(t.tgattr::int2[]) = 0
                      OR EXISTS (SELECT
                                 FROM pg_attribute AS a
                                 WHERE a.attrelid = t.tgrelid
                                 AND a.attnum = ANY (t.tgattr::int2[])
                                 AND a.attname = ANY ($2::text[])))),
    'references', (SELECT coalesce(jsonb_agg(jsonb_build_object('name', f.conname, 'table', f.confrelid::regclass::text)
                                             ORDER BY f.conname), '[]')
                   FROM pg_constraint AS f
                   WHERE f.conrelid = $1
                   AND f.contype = 'f'
                   AND f.conparentid = 0
                   AND EXISTS (SELECT FROM changed WHERE attnum = ANY (f.conkey))),
    'referenced_by', (SELECT coalesce(jsonb_agg(jsonb_build_object('name', f.conname, 'table', f.conrelid::regclass::text)
                                                ORDER BY f.conname), '[]')
                      FROM pg_constraint AS f
                      WHERE f.confrelid = $1
                      AND f.contype = 'f'
                      AND f.conparentid = 0
                      AND EXISTS (SELECT FROM changed WHERE attnum = ANY (f.confkey))),
    'unique_indexes', (SELECT coalesce(jsonb_agg(x.relname ORDER BY x.relname), '[]')
                       FROM pg_index AS i
                       JOIN pg_class AS x ON x.oid = i.indexrelid
                       WHERE i.indrelid = $1
                       AND i.indisunique
                       -- As a column of its own, but not one that is only INCLUDEd, or in an expression or a
                       -- predicate.
                       AND EXISTS (SELECT
                                   FROM changed
                                   WHERE attnum = ANY ((i.indkey::int2[])[0:i.indnkeyatts - 1])
                                   OR attnum <> ALL (i.indkey::int2[])
                                   AND EXISTS (SELECT
                                               FROM pg_depend AS d
                                               WHERE d.classid = 'pg_class'::regclass
                                               AND d.objid = i.indexrelid
                                               AND d.refclassid = 'pg_class'::regclass
                                               AND d.refobjid = i.indrelid
                                               AND d.refobjsubid = changed.attnum))),
    -- Stored columns that are computed again, and an index on them. Up to version 14 the column depends on
    -- the others, then its expression does.
    'generated', (SELECT coalesce(jsonb_agg(jsonb_build_object(
                                      'column', g.attname,
                                      'index', (SELECT min(x.relname)
                                                FROM pg_index AS i
                                                JOIN pg_class AS x ON x.oid = i.indexrelid
                                                WHERE i.indrelid = $1
                                                AND g.attnum = ANY (i.indkey::int2[]))) ORDER BY g.attnum), '[]')
                  FROM pg_attribute AS g
                  JOIN pg_attrdef AS e ON e.adrelid = g.attrelid AND e.adnum = g.attnum
                  WHERE g.attrelid = $1
                  AND g.attgenerated = 's'
                  AND EXISTS (SELECT
                              FROM pg_depend AS d
                              JOIN changed ON changed.attnum = d.refobjsubid
                              WHERE d.refclassid = 'pg_class'::regclass
                              AND d.refobjid = $1
                              AND (d.classid = 'pg_attrdef'::regclass AND d.objid = e.oid
                                   OR d.classid = 'pg_class'::regclass AND d.objid = $1 AND d.objsubid = g.attnum))),
    'published', (SELECT coalesce(jsonb_agg(jsonb_build_object(
                                      'table', c.oid::regclass::text,
                                      'publications', p.publications,
                                      'full', c.relreplident = 'f',
                                      'identified', c.relreplident = 'f'
                                                    OR EXISTS (SELECT
                                                               FROM pg_index AS i
                                                               WHERE i.indrelid = c.oid
                                                               AND (c.relreplident = 'd' AND i.indisprimary
                                                                    OR c.relreplident = 'i' AND i.indisreplident)))
                                            ORDER BY c.oid), '[]')
                  FROM pg_class AS c
                  CROSS JOIN LATERAL (
                      SELECT string_agg(DISTINCT published.publication, ', ') AS publications
                      FROM published
                      WHERE published.relid = c.oid
                      OR published.relid IN (SELECT relid FROM pg_partition_ancestors(c.oid::regclass))
                  ) AS p
                  WHERE c.oid = ANY ($3::oid[])
                  AND p.publications IS NOT NULL),
    -- They were not checked when they were made, but are for every row that is updated, whichever column that
    -- is about. Since version 18 a constraint can be NOT VALID because it is not enforced at all, and NOT
    -- NULL can be NOT VALID.
    'unchecked', (SELECT coalesce(jsonb_agg(to_jsonb(u) ORDER BY u.name), '[]')
                  FROM (
                      SELECT k.conname AS name,
                             CASE k.contype
                                 WHEN 'c' THEN pg_get_expr(k.conbin, k.conrelid)
                                 ELSE quote_ident(a.attname) || ' IS NOT NULL'
                             END AS expression,
                             jsonb_agg(k.conrelid::bigint) AS leaves
                      FROM pg_constraint AS k
                      LEFT JOIN pg_attribute AS a ON k.contype = 'n' AND a.attrelid = k.conrelid AND a.attnum = k.conkey[1]
                      WHERE k.conrelid = ANY ($3::oid[])
                      AND k.contype IN ('c', 'n')
                      AND NOT k.convalidated
                      AND coalesce((to_jsonb(k) ->> 'conenforced')::bool, true)
                      -- About a column that is set, the new value counts, which only the batch itself shows.
                      AND NOT EXISTS (SELECT
                                      FROM pg_attribute AS s
                                      WHERE s.attrelid = k.conrelid
                                      AND s.attnum = ANY (k.conkey)
                                      AND s.attname = ANY ($2::text[]))
                      GROUP BY 1, 2
                  ) AS u)
) AS facts
