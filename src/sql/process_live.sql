-- name: process_live
-- Through `to_jsonb` what older control schemas do not have.
SELECT process, host, pid, version, workers, rows_per_s, waiting, hold, last_error,
       coalesce((to_jsonb(p) ->> 'rows_passed_per_s')::float8, 0) AS rows_passed_per_s,
       to_char(started_at AT TIME ZONE 'UTC', 'YYYY-MM-DD"T"HH24:MI:SS"Z"') AS started_at,
       extract(epoch FROM clock_timestamp() - waiting_since)::float8 AS waiting_s,
       extract(epoch FROM clock_timestamp() - last_seen)::float8 AS seen_s_ago
FROM pgbackfill.process AS p
WHERE run = $1
AND left_at IS NULL
AND last_seen BETWEEN clock_timestamp() - make_interval(secs => $2) AND clock_timestamp() + make_interval(secs => $2)
ORDER BY started_at, process
