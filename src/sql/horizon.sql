-- name: horizon
-- What keeps dead rows of this database from being removed, if it has done so for more than two seconds: the
-- oldest of all. The time is hidden from a role that may not see others' sessions, and is not known of a slot
-- or of a standby's feedback, which is as old as its oldest query and not as its connection. Those count from
-- that many transactions on, so that one that is up to date is not named.
SELECT held.who, held.held_s
FROM (
    SELECT CASE WHEN backend_type = 'autovacuum worker'
                THEN 'process ' || pid || coalesce(' (' || nullif(query, '') || ')', ' of autovacuum')
                ELSE 'session ' || pid || coalesce(' of ' || usename, '') || coalesce(' (' || nullif(application_name, '') || ')', '')
           END AS who,
           -- A transaction that has written and waits for its next statement has an id and no snapshot; ids
           -- are in every database's snapshots.
           greatest(age(backend_xmin), age(backend_xid)) AS transactions,
           CASE WHEN backend_type <> 'walsender'
                THEN extract(epoch FROM clock_timestamp() - coalesce(xact_start, query_start))::float8
           END AS held_s
    FROM pg_stat_activity
    WHERE pid <> pg_backend_pid()
    AND (backend_xid IS NOT NULL OR backend_xmin IS NOT NULL AND (datname = current_database() OR backend_type = 'walsender'))
    UNION ALL
    SELECT 'prepared transaction ' || quote_literal(gid), age(transaction), extract(epoch FROM clock_timestamp() - prepared)::float8
    FROM pg_prepared_xacts
    UNION ALL
    SELECT 'replication slot ' || quote_literal(slot_name), age(xmin), NULL
    FROM pg_replication_slots
    WHERE xmin IS NOT NULL
    -- One that was invalidated holds nothing.
    AND wal_status IS DISTINCT FROM 'lost'
) AS held
WHERE CASE WHEN held.held_s IS NULL THEN held.transactions > 1000 ELSE held.held_s > 2 END
ORDER BY held.transactions DESC
LIMIT 1
