-- name: leaf_extend
-- What came behind the last mark of a leaf is planned, too; $3 the last mark now, NULL if nothing came.
UPDATE pgbackfill.leaf
SET bound = coalesce($3, bound),
    state = CASE WHEN $3::text[] IS NULL THEN state ELSE 'open' END,
    pass = 1
WHERE run = $1
AND number = $2
