-- name: suspect_settle
UPDATE pgbackfill.suspect
SET state = $4,
    what = coalesce($5, what),
    row_version = coalesce($6, row_version),
    looks = looks + 1,
    seen_at = clock_timestamp()
WHERE run = $1
AND leaf = $2
AND key = $3
