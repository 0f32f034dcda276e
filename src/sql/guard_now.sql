-- name: guard_now
-- What was read last, as `status` shows it.
SELECT leader,
       readings::text AS readings,
       extract(epoch FROM clock_timestamp() - read_at)::float8 AS read_s_ago
FROM pgbackfill.guard
WHERE read_at IS NOT NULL
