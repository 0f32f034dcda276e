-- name: bad_row_next
-- In the order of the primary key, so that a long quarantine is read part by part.
SELECT b.leaf, b.key, b.range, l.schema, l.name
FROM pgbackfill.bad_row AS b
JOIN pgbackfill.leaf AS l ON l.run = b.run AND l.number = b.leaf
WHERE b.run = $1
AND ($2::int IS NULL OR (b.leaf, b.key) > ($2, $3::text[]))
ORDER BY b.leaf, b.key
LIMIT $4
