-- name: others_seen
-- Whether others are at work: $1 the time of the last look, by the server's clock; NULL: none yet.
-- Without pg_read_all_stats their statements are hidden; then their transactions are seen, by the locks that
-- each holds on its own number.
WITH seeing AS MATERIALIZED (
    SELECT pg_has_role('pg_read_all_stats', 'USAGE') AS stats,
           coalesce(to_timestamp($1::float8), statement_timestamp() - interval '5 s') AS since
),
-- Client sessions and the workers that apply changes of a publisher. Not ours; not autovacuum, which has no
-- user; not walsenders, whose statement is their connection.
other AS MATERIALIZED (
    SELECT pid, state, query, query_start, backend_xid,
           backend_type LIKE 'logical replication%' AS applies,
           coalesce(greatest(state_change, query_start) > seeing.since, false) AS is_changed,
           -- Of another role, or of one that tells none of its statements.
           NOT seeing.stats AND state IS NULL OR state = 'disabled' AS is_hidden
    FROM pg_stat_activity
    CROSS JOIN seeing
    WHERE usesysid IS NOT NULL
    AND datid IS NOT NULL
    AND coalesce(backend_type = 'client backend' OR backend_type LIKE 'logical replication%', true)
    AND application_name NOT LIKE 'pgbackfill%'
    AND pid <> pg_backend_pid()
    AND pid NOT IN (SELECT pid FROM pg_stat_get_wal_senders() WHERE pid IS NOT NULL)
)
SELECT extract(epoch FROM statement_timestamp())::float8 AS clock_s,
       -- How long this takes the server, the way there and back not counted.
       1000 * extract(epoch FROM clock_timestamp() - statement_timestamp())::float8 AS took_ms,
       pg_backend_pid() AS backend,
       -- A transaction that has written and waits for its client is not at work.
       count(*) FILTER (WHERE backend_xid IS NOT NULL AND state IS DISTINCT FROM 'idle in transaction') AS writing,
       count(*) FILTER (WHERE is_changed) AS changed,
       count(*) AS sessions,
       -- A text is read only where there is something new.
       count(*) FILTER (WHERE CASE WHEN is_changed THEN
           applies
           OR query ~* E'\\m(insert|update|delete|merge|copy|truncate|create|alter|drop|refresh|reindex|cluster|vacuum|execute|import|grant|revoke)\\M'
           -- These only where a statement begins: CASE has an END, too.
           OR query ~* E'(^|;)\\s*(commit|end|call|do|lock|notify)\\M'
       END) AS wrote,
       coalesce(array_agg(greatest(1000 * extract(epoch FROM clock_timestamp() - query_start)::float8, 0))
                    FILTER (WHERE state = 'active'), '{}') AS ages_ms,
       coalesce(array_agg(pid || '/' || query_start) FILTER (WHERE state = 'active'), '{}')
           || ARRAY(SELECT virtualtransaction
                    FROM pg_locks
                    WHERE locktype = 'virtualxid'
                    AND granted
                    AND mode = 'ExclusiveLock'
                    AND pid IN (SELECT pid FROM other WHERE is_hidden)
                    -- Not even looked at where nothing is hidden.
                    AND (SELECT bool_or(is_hidden) FROM other)) AS running
FROM other
