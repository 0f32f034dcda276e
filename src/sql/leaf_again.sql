-- name: leaf_again
-- The leaf is walked again from its beginning: $3 its last mark, $4 in which order, $5 rows on a block, $6 rows of
-- the leaf, $7 rows that the sweep before it changed, $8 as how many rows a sweep counts, $9 whether it is one.
UPDATE pgbackfill.leaf AS l
SET bound = $3,
    frontier = NULL,
    state = CASE WHEN $3::text[] IS NULL THEN 'planned' ELSE 'open' END,
    scan = $4,
    rows_per_block = $5,
    filenode = CASE WHEN $4 = 'heap' THEN pg_relation_filenode(l.relation) END,
    pass = pass + 1,
    sweep = CASE WHEN $9 THEN sweep + 1 ELSE 0 END,
    found_before = $7,
    swept = NULL,
    -- What the ranges of passes before have planned, and this one.
    rows_estimated = (SELECT coalesce(sum(r.rows_planned), 0)
                      FROM pgbackfill.range AS r
                      WHERE r.run = $1
                      AND r.leaf = $2
                      AND NOT r.swept) + CASE WHEN $9 THEN 0 ELSE $6 END,
    sweeps_estimated = (SELECT coalesce(sum(r.rows_planned), 0)
                        FROM pgbackfill.range AS r
                        WHERE r.run = $1
                        AND r.leaf = $2
                        AND r.swept) + CASE WHEN $4 = 'heap' THEN $8 ELSE 0 END
WHERE run = $1
AND number = $2
