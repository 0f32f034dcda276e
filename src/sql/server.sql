-- What the server is, in one round trip.
SELECT current_setting('server_version_num')::int AS version,
       pg_is_in_recovery() AS standby,
       current_database()::text AS database,
       current_user::text AS "user",
       has_database_privilege(current_database(), 'CREATE') AS may_create,
       (SELECT system_identifier::text FROM pg_control_system()) AS system_identifier,
       (SELECT timeline_id FROM pg_control_checkpoint()) AS timeline,
       (SELECT setting::int FROM pg_settings WHERE name = 'deadlock_timeout') AS deadlock_timeout_ms,
       jsonb_build_object(
           'search_path', (SELECT coalesce(string_agg(quote_ident(s), ', ' ORDER BY n), '""') || ', pg_temp'
                           FROM unnest(current_schemas(false)) WITH ORDINALITY AS p (s, n)),
           'TimeZone', current_setting('TimeZone'),
           'DateStyle', current_setting('DateStyle'),
           'IntervalStyle', current_setting('IntervalStyle'))::text AS settings
