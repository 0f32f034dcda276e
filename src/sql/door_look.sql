-- name: door_look
-- Who holds, or waits for, a lock on these relations that conflicts with the one that is wanted; $2 the modes
-- that do. Ages are in milliseconds, none where this role may not see them.
SELECT locks.pid,
       coalesce(locks.pid::text, '') || ' ' || locks.virtualtransaction AS who,
       locks.holds,
       locks.modes,
       CASE WHEN locks.holds THEN 1000 * extract(epoch FROM clock_timestamp() - coalesce(activity.xact_start, prepared.prepared))
            ELSE 1000 * extract(epoch FROM clock_timestamp() - coalesce(locks.waits_since, activity.query_start)) END::float8 AS age_ms,
       activity.backend_type = 'autovacuum worker' AS autovacuum,
       coalesce(activity.query LIKE '%(to prevent wraparound)%', false) AS wraparound,
       coalesce(activity.application_name LIKE 'pgbackfill run %', false) AS run_of_ours,
       activity.usename::text AS user_name,
       nullif(activity.application_name, '') AS application,
       activity.state,
       activity.query,
       prepared.gid
FROM (
    SELECT pg_locks.pid, pg_locks.virtualtransaction,
           bool_and(pg_locks.granted) AS holds,
           string_agg(DISTINCT pg_locks.mode, ', ' ORDER BY pg_locks.mode) AS modes,
           -- Known from version 14 on.
           min((to_jsonb(pg_locks) ->> 'waitstart')::timestamptz) AS waits_since
    FROM pg_locks
    WHERE pg_locks.locktype = 'relation'
    AND pg_locks.database = (SELECT oid FROM pg_database WHERE datname = current_database())
    AND pg_locks.relation = ANY ($1::oid[])
    AND pg_locks.mode = ANY ($2::text[])
    AND pg_locks.pid IS DISTINCT FROM pg_backend_pid()
    AND pg_locks.pid IS DISTINCT FROM $3
    GROUP BY pg_locks.pid, pg_locks.virtualtransaction
) AS locks
LEFT JOIN pg_stat_activity AS activity ON activity.pid = locks.pid
LEFT JOIN pg_prepared_xacts AS prepared ON locks.pid IS NULL AND locks.virtualtransaction = '-1/' || prepared.transaction
ORDER BY age_ms DESC NULLS FIRST
