-- name: repair_insert
-- A repair ($1) walks the ranges in which a verification ($2) has met rows that differed.
WITH leaves AS (
    INSERT INTO pgbackfill.leaf (run, number, relation, schema, name, shape, bound, frontier, state, rows_estimated, pass)
    SELECT $1, number, relation, schema, name, shape, bound, frontier, state, 0, pass
    FROM pgbackfill.leaf
    WHERE run = $2
)
INSERT INTO pgbackfill.range (run, number, leaf, lo, hi, rows_planned, pass)
SELECT $1, row_number() OVER (ORDER BY number), leaf, lo, hi, rows_planned, pass
FROM pgbackfill.range
WHERE run = $2
AND rows_wrong > 0
