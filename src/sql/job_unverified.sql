-- name: job_unverified
SELECT pgbackfill.unverified($1, make_interval(secs => $2)) AS why
