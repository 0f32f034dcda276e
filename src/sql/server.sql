-- What the server is, in one round trip.
SELECT current_setting('server_version_num')::int AS version,
       pg_is_in_recovery() AS standby,
       current_database()::text AS database,
       current_user::text AS "user",
       has_database_privilege(current_database(), 'CREATE') AS may_create,
       (SELECT system_identifier::text FROM pg_control_system()) AS system_identifier,
       -- The control file learns of a new timeline with the next checkpoint only.
       CASE WHEN pg_is_in_recovery()
           THEN (SELECT timeline_id FROM pg_control_checkpoint())
           ELSE ('x' || substr(pg_walfile_name(pg_current_wal_lsn()), 1, 8))::bit(32)::int
       END AS timeline,
       (SELECT setting::int FROM pg_settings WHERE name = 'deadlock_timeout') AS deadlock_timeout_ms,
       (SELECT setting::float8 FROM pg_settings WHERE name = 'checkpoint_timeout') AS checkpoint_timeout_s,
       -- A checkpoint begins after so much of the log that the one before it can still end within max_wal_size.
       (SELECT max.setting::float8 * 1048576 / (1 + target.setting::float8)
        FROM pg_settings AS max, pg_settings AS target
        WHERE max.name = 'max_wal_size'
        AND target.name = 'checkpoint_completion_target') AS checkpoint_wal_bytes,
       jsonb_build_object(
           'search_path', (SELECT coalesce(string_agg(quote_ident(s), ', ' ORDER BY n), '""') || ', pg_temp'
                           FROM unnest(current_schemas(false)) WITH ORDINALITY AS p (s, n)),
           'TimeZone', current_setting('TimeZone'),
           'DateStyle', current_setting('DateStyle'),
           'IntervalStyle', current_setting('IntervalStyle'))::text AS settings
