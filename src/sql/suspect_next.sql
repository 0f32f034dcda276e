-- name: suspect_next
-- A row that is to be looked at again, $2 seconds after it was seen; its lock keeps other workers from it.
SELECT s.leaf, s.key, s.row_version, s.looks, l.schema, l.name
FROM pgbackfill.suspect AS s
JOIN pgbackfill.leaf AS l ON l.run = s.run AND l.number = s.leaf
WHERE s.run = $1
AND s.state = 'suspect'
AND s.seen_at <= clock_timestamp() - make_interval(secs => $2)
ORDER BY s.seen_at
LIMIT 1
FOR UPDATE OF s SKIP LOCKED
