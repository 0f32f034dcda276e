-- What keeps dead rows of this database from being removed, if it has done so for more than two seconds: the oldest of all.
-- The time is hidden from a role that may not see others' sessions, and a slot has none.
SELECT held.who, held.held_s
FROM (
    SELECT 'session ' || pid || coalesce(' of ' || usename, '') || coalesce(' (' || nullif(application_name, '') || ')', '') AS who,
           backend_xmin AS horizon,
           extract(epoch FROM clock_timestamp() - coalesce(xact_start, query_start))::float8 AS held_s
    FROM pg_stat_activity
    WHERE backend_xmin IS NOT NULL
    AND pid <> pg_backend_pid()
    AND (datname = current_database() OR backend_type = 'walsender')
    UNION ALL
    SELECT 'prepared transaction ' || quote_literal(gid), transaction, extract(epoch FROM clock_timestamp() - prepared)::float8
    FROM pg_prepared_xacts
    WHERE database = current_database()
    UNION ALL
    SELECT 'replication slot ' || quote_literal(slot_name), xmin, NULL
    FROM pg_replication_slots
    WHERE xmin IS NOT NULL
) AS held
WHERE coalesce(held.held_s, 3600) > 2
ORDER BY age(held.horizon) DESC
LIMIT 1
