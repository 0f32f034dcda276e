-- name: suspect_list
-- Rows that were found wrong, each with the name of its table.
SELECT quote_ident(l.schema) || '.' || quote_ident(l.name) AS "table", s.key, s.what, s.state
FROM pgbackfill.suspect AS s
JOIN pgbackfill.leaf AS l ON l.run = s.run AND l.number = s.leaf
WHERE s.run = $1
AND s.state IN ('confirmed', 'moving')
ORDER BY s.state, s.leaf, s.range, s.seen_at
LIMIT $2
