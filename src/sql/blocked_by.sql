-- name: blocked_by
-- Which sessions wait for one of these sessions, and for how long if the server tells (from version 14 on).
SELECT waiting.pid,
       ours.pid AS ours,
       1000 * extract(epoch FROM clock_timestamp() - (to_jsonb(waiting) ->> 'waitstart')::timestamptz)::float8 AS waited_ms
FROM pg_locks AS waiting
CROSS JOIN LATERAL unnest(pg_blocking_pids(waiting.pid)) AS ours (pid)
WHERE NOT waiting.granted
AND ours.pid = ANY ($1)
AND waiting.pid <> ALL ($1)
ORDER BY waited_ms DESC NULLS LAST
