-- name: identity
-- Which server this is, and on which timeline it writes; a standby writes on none.
SELECT system_identifier::text AS system_identifier,
       CASE WHEN NOT pg_is_in_recovery()
           -- The first eight digits; the control file learns of a new timeline with the next checkpoint only.
           THEN ('x' || substr(pg_walfile_name(pg_current_wal_lsn()), 1, 8))::bit(32)::int
       END AS timeline
FROM pg_control_system()
