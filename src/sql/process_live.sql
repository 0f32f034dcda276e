-- name: process_live
SELECT process, host, pid, version, workers, rows_per_s, rows_passed_per_s, waiting, hold, last_error,
       to_char(started_at AT TIME ZONE 'UTC', 'YYYY-MM-DD"T"HH24:MI:SS"Z"') AS started_at,
       extract(epoch FROM clock_timestamp() - waiting_since)::float8 AS waiting_s,
       extract(epoch FROM clock_timestamp() - last_seen)::float8 AS seen_s_ago
FROM pgbackfill.process
WHERE run = $1
AND left_at IS NULL
AND last_seen BETWEEN clock_timestamp() - make_interval(secs => $2) AND clock_timestamp() + make_interval(secs => $2)
ORDER BY started_at, process
