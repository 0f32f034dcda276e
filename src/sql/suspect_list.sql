-- name: suspect_list
-- Rows that were found wrong, each with the name of its table.
SELECT CASE WHEN l.schema = 'pgbackfill' THEN replace(r.target_name, '"', '')
            ELSE quote_ident(l.schema) || '.' || quote_ident(l.name) END AS "table",
       s.key, s.what, s.state
FROM pgbackfill.suspect AS s
JOIN pgbackfill.run AS r ON r.id = s.run
JOIN pgbackfill.leaf AS l ON l.run = s.run AND l.number = s.leaf
WHERE s.run = $1
AND s.state IN ('confirmed', 'moving')
ORDER BY s.state, s.leaf, s.range, s.seen_at
LIMIT $2
