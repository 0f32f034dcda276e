-- name: leaf_passed
-- Leaves that are walked by block, each with what its latest pass has changed; none of them is swept yet.
SELECT l.number, l.relation, l.schema, l.name, l.sweep, l.found_before,
       (SELECT coalesce(sum(r.rows_changed), 0)::bigint
        FROM pgbackfill.range AS r
        WHERE r.run = l.run
        AND r.leaf = l.number
        AND r.pass = l.pass) AS found
FROM pgbackfill.leaf AS l
WHERE l.run = $1
AND l.scan = 'heap'
AND l.swept IS NULL
ORDER BY l.number
