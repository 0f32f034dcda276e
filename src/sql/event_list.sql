-- name: event_list
SELECT e.run, e.kind, e.by, e.detail,
       to_char(e.at AT TIME ZONE 'UTC', 'YYYY-MM-DD"T"HH24:MI:SS"Z"') AS at
FROM pgbackfill.event AS e
JOIN pgbackfill.run AS r ON r.id = e.run
WHERE r.job = $1
ORDER BY e.id
