-- name: suspect_pending
SELECT count(*) AS pending
FROM pgbackfill.suspect
WHERE run = $1
AND state = 'suspect'
