-- name: version_max
SELECT coalesce(max(number), 0)
FROM pgbackfill.version
