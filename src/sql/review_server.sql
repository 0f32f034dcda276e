-- name: review_server
-- What a person should know about the server before a run. Others' times are hidden from a role that may not
-- see their sessions.
SELECT jsonb_build_object(
    'superuser', (SELECT r.rolsuper FROM pg_roles AS r WHERE r.rolname = current_user),
    'sees_others', pg_has_role(current_user, 'pg_read_all_stats', 'USAGE'),
    'backend', pg_backend_pid(),
    'control_schema', to_regnamespace('pgbackfill') IS NOT NULL,
    -- As the session began, so that what a transaction sets for itself does not show. Times are in
    -- milliseconds.
    'settings', (SELECT jsonb_object_agg(
                     CASE s.unit WHEN 'MB' THEN s.name || '_mb' ELSE s.name END,
                     CASE s.vartype WHEN 'bool' THEN to_jsonb(s.reset_val::bool) ELSE to_jsonb(s.reset_val::numeric) END)
                 FROM pg_settings AS s
                 WHERE s.name IN ('autovacuum', 'autovacuum_freeze_max_age', 'autovacuum_vacuum_threshold',
                                  'autovacuum_vacuum_scale_factor', 'max_slot_wal_keep_size', 'statement_timeout',
                                  'idle_in_transaction_session_timeout', 'idle_session_timeout', 'transaction_timeout')),
    'oldest_database', (SELECT jsonb_build_object('name', d.datname, 'age', age(d.datfrozenxid))
                        FROM pg_database AS d
                        ORDER BY age(d.datfrozenxid) DESC
                        LIMIT 1),
    -- What keeps dead rows of this database from being removed: since when, or where that is not known, for
    -- how many transactions. A vacuum does not, although it shows a snapshot.
    'snapshots', (SELECT coalesce(jsonb_agg(to_jsonb(held) ORDER BY held.transactions DESC), '[]')
                  FROM (
                      SELECT 'session ' || a.pid || coalesce(' of ' || a.usename, '')
                                 || coalesce(' (' || nullif(a.application_name, '') || ')', '') AS who,
                             -- A standby's feedback is as old as its oldest query, not as its connection.
                             CASE WHEN a.backend_type <> 'walsender'
                                  THEN extract(epoch FROM clock_timestamp() - coalesce(a.xact_start, a.query_start))::float8
                             END AS held_s,
                             greatest(age(a.backend_xmin), age(a.backend_xid)) AS transactions
                      FROM pg_stat_activity AS a
                      WHERE a.pid <> pg_backend_pid()
                      AND a.backend_type <> 'autovacuum worker'
                      AND (a.datname = current_database() OR a.backend_type = 'walsender')
                      AND coalesce(a.backend_xmin, a.backend_xid) IS NOT NULL
                      UNION ALL
                      SELECT 'replication slot ' || quote_literal(s.slot_name), NULL, age(s.xmin)
                      FROM pg_replication_slots AS s
                      WHERE s.xmin IS NOT NULL
                      AND s.wal_status IS DISTINCT FROM 'lost'
                  ) AS held),
    'prepared', (SELECT coalesce(jsonb_agg(jsonb_build_object(
                                     'name', p.gid,
                                     'held_s', extract(epoch FROM clock_timestamp() - p.prepared)::float8) ORDER BY p.prepared), '[]')
                 FROM pg_prepared_xacts AS p
                 WHERE p.database = current_database()),
    'slots', (SELECT coalesce(jsonb_agg(jsonb_build_object(
                                  'name', s.slot_name,
                                  'logical', s.slot_type = 'logical',
                                  'here', coalesce(s.database = current_database(), true),
                                  'active', s.active,
                                  'retained_bytes', pg_wal_lsn_diff(pg_current_wal_lsn(), s.restart_lsn)::bigint) ORDER BY s.slot_name), '[]')
              FROM pg_replication_slots AS s
              -- One without a position holds nothing; nor does one that was invalidated, which may keep its
              -- position.
              WHERE s.restart_lsn IS NOT NULL
              AND s.wal_status IS DISTINCT FROM 'lost'
              AND NOT s.temporary),
    'standbys', (SELECT coalesce(jsonb_agg(jsonb_build_object(
                                     'name', coalesce(nullif(r.application_name, ''), r.pid::text),
                                     'lag_bytes', pg_wal_lsn_diff(pg_current_wal_lsn(), r.replay_lsn)::bigint,
                                     -- For a while it keeps its last value, even if nothing is missing any
                                     -- more.
                                     'lag_s', CASE WHEN r.replay_lsn < pg_current_wal_lsn()
                                                   THEN extract(epoch FROM r.replay_lag)::float8 END) ORDER BY r.application_name), '[]')
                 FROM pg_stat_replication AS r)
) AS facts
