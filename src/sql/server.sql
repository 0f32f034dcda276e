-- name: server
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
       -- A checkpoint begins after so much WAL that the one before it can still end within max_wal_size.
       (SELECT max.setting::float8 * 1048576 / (1 + target.setting::float8)
        FROM pg_settings AS max, pg_settings AS target
        WHERE max.name = 'max_wal_size'
        AND target.name = 'checkpoint_completion_target') AS checkpoint_wal_bytes,
       jsonb_build_object(
           'search_path', (SELECT coalesce(string_agg(quote_ident(s), ', ' ORDER BY n), '""') || ', pg_temp'
                           FROM unnest(current_schemas(false)) WITH ORDINALITY AS p (s, n)),
           'TimeZone', current_setting('TimeZone'),
           'DateStyle', current_setting('DateStyle'),
           'IntervalStyle', current_setting('IntervalStyle'),
           'standard_conforming_strings', current_setting('standard_conforming_strings'),
           'transform_null_equals', current_setting('transform_null_equals'),
           'array_nulls', current_setting('array_nulls'),
           'extra_float_digits', current_setting('extra_float_digits'),
           'bytea_output', current_setting('bytea_output'),
           'lc_monetary', current_setting('lc_monetary'),
           'lc_numeric', current_setting('lc_numeric'),
           'lc_time', current_setting('lc_time'),
           'default_text_search_config', current_setting('default_text_search_config'))::text AS settings
