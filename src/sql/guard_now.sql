-- name: guard_now
-- What was read last, as `status` shows it.
SELECT leader,
       readings::text AS readings,
       extract(epoch FROM clock_timestamp() - read_at)::float8 AS read_s_ago,
       -- Through `to_jsonb` what older control schemas do not have.
       CASE WHEN (to_jsonb(guard) ->> 'looked_at')::timestamptz > read_at - interval '0.5 s'
            THEN extract(epoch FROM clock_timestamp() - (to_jsonb(guard) ->> 'alone_since')::timestamptz)::float8 END AS alone_s
FROM pgbackfill.guard
WHERE read_at IS NOT NULL
