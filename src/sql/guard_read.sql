-- name: guard_read
-- The guard's whole round trip: takes or renews the lead, reads every signal, and publishes all of it. The
-- lead is free, ours, or of a process that does not see other sessions where we do; else no row comes back.
-- What depends on the last reading (the speed of the WAL) is found in the row as it was.
UPDATE pgbackfill.guard
SET leader = $1,
    leader_until = clock_timestamp() + make_interval(secs => $2),
    read_at = clock_timestamp(),
    wal_lsn = pg_current_wal_insert_lsn(),
    share = coalesce($3, share),
    share_why = $4,
    quiet_from = CASE WHEN $5::float8 IS NULL THEN quiet_from ELSE clock_timestamp() + make_interval(secs => $5) END,
    quiet_until = CASE WHEN $5::float8 IS NULL THEN quiet_until ELSE clock_timestamp() + make_interval(secs => $5 + $6) END,
    alone_since = clock_timestamp() - make_interval(secs => $10),
    looked_at = clock_timestamp(),
    batch_ms = coalesce($11, batch_ms),
    learned = coalesce($12, learned),
    learned_load = CASE WHEN $12::float8 IS NULL THEN learned_load ELSE $13 END,
    learned_at = CASE WHEN $12::float8 IS NULL THEN learned_at ELSE clock_timestamp() END,
    readings = (
        WITH seeing AS MATERIALIZED (
            SELECT pg_has_role('pg_read_all_stats', 'USAGE') AS stats
        ),
        target AS MATERIALIZED (
            SELECT run.id AS run, run.target_name AS name, run.target AS relation
            FROM pgbackfill.run
            WHERE run.state IN ('running', 'paused')
            UNION
            SELECT run.id, run.target_name, leaf.relation
            FROM pgbackfill.run
            JOIN pgbackfill.leaf ON leaf.run = run.id
            WHERE run.state IN ('running', 'paused')
        ),
        -- Where the WAL was at past moments.
        past AS MATERIALIZED (
            SELECT lsn::pg_lsn AS lsn, age_s
            FROM unnest($7::text[], $8::float8[]) AS past (lsn, age_s)
        ),
        session AS MATERIALIZED (
            SELECT pid, backend_type, state, backend_xmin, backend_xid, datname, application_name, xact_start, query_start, query,
                   'session ' || pid || coalesce(' of ' || usename, '') || coalesce(' (' || nullif(application_name, '') || ')', '') AS who
            FROM pg_stat_activity
        ),
        replica AS (
            -- The age of the oldest commit of ours that is not replayed there yet; the server's own
            -- replay_lag stands still while a replay is paused.
            SELECT 'replica_lag' AS signal, NULL::bigint AS run, coalesce(nullif(application_name, ''), 'unnamed') AS subject,
                   CASE WHEN replay_lsn IS NOT NULL THEN 1000 * greatest(
                       (SELECT max(past.age_s) FROM past WHERE past.lsn > pg_stat_replication.replay_lsn),
                       CASE WHEN replay_lsn < pg_current_wal_lsn() THEN extract(epoch FROM replay_lag)::float8 END,
                       0) END AS value,
                   EXISTS (SELECT FROM pg_replication_slots WHERE slot_type = 'logical' AND active_pid = pg_stat_replication.pid) AS logical,
                   -- Behind all that we know of.
                   coalesce(replay_lsn < pg_current_wal_lsn(), false)
                       AND NOT EXISTS (SELECT FROM past WHERE past.lsn <= pg_stat_replication.replay_lsn) AS at_least
            FROM pg_stat_replication
            -- What follows nothing (a base backup, an archiver of WAL) has no place in it.
            WHERE (state IN ('streaming', 'catchup') AND replay_lsn IS NOT NULL) OR NOT (SELECT stats FROM seeing)
        ),
        reading AS (
            -- A command that needs the table for itself, and all sessions behind it in the queue.
            SELECT 'ddl_waiting' AS signal, target.run,
                   session.who || ' has been waiting for ' || pg_locks.mode || ' on ' || target.name AS subject,
                   1000 * extract(epoch FROM clock_timestamp() - coalesce(
                       -- Known from version 14 on; the start of a query from a role that may not see it is
                       -- not told. The time of this statement is earlier than the clock, so that the age is
                       -- never below nothing.
                       (to_jsonb(pg_locks) ->> 'waitstart')::timestamptz, session.query_start, statement_timestamp()))::float8 AS value
            FROM pg_locks
            JOIN target USING (relation)
            JOIN session USING (pid)
            WHERE NOT pg_locks.granted
            AND pg_locks.locktype = 'relation'
            AND pg_locks.database = (SELECT oid FROM pg_database WHERE datname = current_database())
            AND pg_locks.mode IN ('ShareLock', 'ShareRowExclusiveLock', 'ExclusiveLock', 'AccessExclusiveLock')
            UNION ALL
            -- A step of ours that is about to need the table for itself: it does not queue as long as batches hold it.
            SELECT 'ddl_waiting', target.run, 'a step of job ' || quote_ident(step.job) || ' asks for the table ' || target.name,
                   1000 * extract(epoch FROM clock_timestamp() - step.began_at)::float8
            FROM pgbackfill.step
            JOIN target USING (relation)
            WHERE step.state = 'doing'
            AND step.door_until > clock_timestamp()
            UNION ALL
            -- What holds this lock: VACUUM, ANALYZE, CREATE INDEX CONCURRENTLY, VALIDATE CONSTRAINT.
            SELECT 'maintenance', target.run,
                   CASE WHEN session.backend_type = 'autovacuum worker' THEN 'autovacuum' ELSE session.who END
                       || ' has been at work on ' || target.name,
                   1000 * extract(epoch FROM clock_timestamp() - coalesce(session.xact_start, statement_timestamp()))::float8
            FROM pg_locks
            JOIN target USING (relation)
            JOIN session USING (pid)
            WHERE pg_locks.granted
            AND pg_locks.locktype = 'relation'
            AND pg_locks.database = (SELECT oid FROM pg_database WHERE datname = current_database())
            AND pg_locks.mode = 'ShareUpdateExclusiveLock'
            UNION ALL
            SELECT 'dead_rows', dead.run, dead.name, 100.0 * dead.dead / nullif(dead.dead + dead.live, 0)
            FROM (
                SELECT run, name, sum(pg_stat_get_dead_tuples(relation))::float8 AS dead, sum(pg_stat_get_live_tuples(relation))::float8 AS live
                FROM target
                GROUP BY run, name
            ) AS dead
            WHERE dead.dead > 10000
            UNION ALL
            -- What keeps dead rows from being removed, for the longest time: by a snapshot, or, where a
            -- transaction that has written waits for its next statement and has none, by its own id, which is
            -- in every database's snapshots. A vacuum does not, although it shows a snapshot. What standbys
            -- (hot_standby_feedback) and slots hold is left out: the server tells how old it is in
            -- transactions only.
            (SELECT 'old_snapshot', NULL::bigint, held.who, 1000 * extract(epoch FROM clock_timestamp() - held.since)::float8
            FROM (
                SELECT session.who,
                       -- What a walsender runs is its connection.
                       CASE WHEN session.backend_type = 'walsender' THEN session.xact_start
                            ELSE coalesce(session.xact_start, session.query_start) END AS since
                FROM session
                WHERE (session.backend_xid IS NOT NULL OR session.backend_xmin IS NOT NULL AND session.datname = current_database())
                AND session.backend_type IS DISTINCT FROM 'autovacuum worker'
                AND coalesce(session.query, '') NOT ILIKE 'vacuum%'
                UNION ALL
                SELECT 'prepared transaction ' || quote_literal(gid), prepared
                FROM pg_prepared_xacts
            ) AS held
            WHERE held.since IS NOT NULL
            ORDER BY held.since
            LIMIT 1)
            UNION ALL
            SELECT 'slot_wal', NULL, quote_literal(slot_name) || CASE WHEN active THEN '' ELSE ', which nobody reads,' END,
                   pg_current_wal_lsn() - restart_lsn
            FROM pg_replication_slots
            WHERE restart_lsn IS NOT NULL
            -- One that was invalidated may keep its position and holds nothing.
            AND wal_status IS DISTINCT FROM 'lost'
            UNION ALL
            -- From the names of segments: the present one, and the first that waits, which is the one behind
            -- the last archived, or where the archiver fails the one that it fails on. A history (of a
            -- timeline, or of a backup, which carries the name of the segment that the backup began with) has
            -- no place among the segments: after one, what was complete when it was archived is taken for
            -- archived.
            SELECT 'archive_backlog', NULL,
                   CASE WHEN archiver.fails
                        THEN ' (the archive command failed ' || failed_count || ' times, for the last time on ' || last_failed_wal || ')'
                        ELSE '' END,
                   greatest(0, floor((pg_current_wal_lsn() - '0/0'::pg_lsn) / segment.bytes) - coalesce(
                       ('x' || substr(known.name, 9, 8))::bit(32)::bigint * (4294967296 / segment.bytes)
                           + ('x' || substr(known.name, 17, 8))::bit(32)::bigint + CASE WHEN archiver.fails THEN 0 ELSE 1 END,
                       floor((coalesce(archiver.lsn_then, pg_current_wal_lsn()) - '0/0'::pg_lsn) / segment.bytes)))::float8
            FROM (
                SELECT pg_stat_archiver.*,
                       last_failed_time > coalesce(last_archived_time, '-infinity') AS fails,
                       (SELECT coalesce(max(past.lsn) FILTER (WHERE past.age_s >= extract(epoch FROM clock_timestamp() - last_archived_time)),
                                        min(past.lsn))
                        FROM past) AS lsn_then
                FROM pg_stat_archiver
            ) AS archiver
            CROSS JOIN LATERAL (
                SELECT substring(CASE WHEN archiver.fails THEN last_failed_wal ELSE last_archived_wal END FROM '^[0-9A-F]{24}$') AS name
            ) AS known
            CROSS JOIN (SELECT pg_size_bytes(current_setting('wal_segment_size'))::numeric AS bytes) AS segment
            WHERE current_setting('archive_mode') <> 'off'
            AND coalesce(last_archived_wal, last_failed_wal) IS NOT NULL
            UNION ALL
            SELECT 'active_sessions', NULL, '', count(*)::float8
            FROM session
            WHERE state = 'active'
            AND backend_type = 'client backend'
            AND application_name NOT LIKE 'pgbackfill%'
            AND (SELECT stats FROM seeing)
            UNION ALL
            SELECT 'wal_fill', NULL, '',
                   100.0 * (pg_current_wal_insert_lsn() - guard.wal_lsn)::float8
                       / greatest(extract(epoch FROM clock_timestamp() - guard.read_at)::float8, 0.1)
                       / pg_size_bytes(current_setting('max_wal_size'))
            WHERE guard.read_at > clock_timestamp() - interval '10 s'
            UNION ALL
            -- What this role cannot see.
            SELECT blind.signal, NULL, 'other sessions', NULL
            FROM unnest(ARRAY['old_snapshot', 'active_sessions']) AS blind (signal)
            WHERE NOT (SELECT stats FROM seeing)
        )
        SELECT coalesce(jsonb_agg(told.reading), '[]')
        FROM (
            SELECT to_jsonb(reading)
            FROM reading
            -- Dead rows that are not there are held up by nothing.
            WHERE reading.signal <> 'old_snapshot' OR reading.value IS NULL OR reading.value > 2000
            UNION ALL
            SELECT to_jsonb(replica)
            FROM replica
        ) AS told (reading)
    )
WHERE guard.leader IS NULL
OR guard.leader = $1
-- A lease that lasts too long is of another clock: that of a primary before this one.
OR guard.leader_until NOT BETWEEN clock_timestamp() AND clock_timestamp() + make_interval(secs => $2)
OR guard.readings @> '[{"signal": "active_sessions", "value": null}]' AND pg_has_role('pg_read_all_stats', 'USAGE')
RETURNING (SELECT coalesce(sum(process.busy), 0) FROM pgbackfill.process
           WHERE process.left_at IS NULL AND process.auto_workers > 0
           AND process.last_seen > clock_timestamp() - make_interval(secs => $9)) AS busy,
          (SELECT coalesce(sum(process.auto_workers), 0) FROM pgbackfill.process
           WHERE process.left_at IS NULL
           AND process.last_seen > clock_timestamp() - make_interval(secs => $9)) AS workers,
          guard.learned,
          guard.learned_load,
          extract(epoch FROM clock_timestamp() - guard.learned_at)::float8 AS learned_s_ago,
          -- The most patient run does not decide for the others.
          (SELECT min((run.knobs #>> '{guard,added_latency_ms}')::float8)
           FROM pgbackfill.process
           JOIN pgbackfill.run ON run.id = process.run
           WHERE process.left_at IS NULL AND process.auto_workers > 0
           AND process.last_seen > clock_timestamp() - make_interval(secs => $9)) AS tolerated_ms
