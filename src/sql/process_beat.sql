-- name: process_beat
-- The heartbeat, what the run asks and what the guard has read, in one round trip. A CTE's own change is not
-- seen beside it, so the others are counted alone.
WITH beat AS (
    INSERT INTO pgbackfill.process (run, process, host, pid, version, workers, rows_per_s, waiting, waiting_since, hold, last_error,
                                    working_ms, throttled_ms, paused_ms, blocked_ms, auto_workers, busy, retries, rows_passed_per_s)
    VALUES ($1, $2, $3, $4, $5, $6, $7, $8, clock_timestamp() - make_interval(secs => $11), $12, $9, $13, $14, $15, $16, $17, $18, $20, $21)
    ON CONFLICT (run, process) DO UPDATE
    SET last_seen = clock_timestamp(),
        workers = excluded.workers,
        rows_per_s = excluded.rows_per_s,
        waiting = excluded.waiting,
        waiting_since = excluded.waiting_since,
        hold = excluded.hold,
        last_error = coalesce(excluded.last_error, process.last_error),
        working_ms = excluded.working_ms,
        throttled_ms = excluded.throttled_ms,
        paused_ms = excluded.paused_ms,
        blocked_ms = excluded.blocked_ms,
        auto_workers = excluded.auto_workers,
        busy = excluded.busy,
        retries = excluded.retries,
        rows_passed_per_s = excluded.rows_passed_per_s,
        left_at = NULL
)
SELECT (SELECT system_identifier::text FROM pg_control_system()) AS system_identifier,
       ('x' || substr(pg_walfile_name(pg_current_wal_lsn()), 1, 8))::bit(32)::int AS timeline,
       run.state,
       run.reason,
       run.knobs::text,
       coalesce(others.workers, 0)::bigint AS other_workers,
       others.processes AS other_processes,
       coalesce(others.rows_per_s, 0)::float8 AS other_rows_per_s,
       coalesce(others.rows_passed_per_s, 0)::float8 AS other_rows_passed_per_s,
       -- How far the WAL of the whole server has got: what lies between two looks drives the checkpoints.
       (pg_current_wal_insert_lsn() - '0/0'::pg_lsn)::float8 AS wal_bytes,
       extract(epoch FROM clock_timestamp())::float8 AS clock_s,
       -- Over all runs of the database, this process not among them.
       coalesce(all_others.auto_workers, 0)::bigint AS other_auto_workers,
       coalesce(all_others.busy, 0)::float8 AS other_busy,
       guard.leader,
       -- A lease that lasts too long is of another clock: that of a primary before this one.
       guard.leader IS NULL OR guard.leader_until NOT BETWEEN clock_timestamp() AND clock_timestamp() + make_interval(secs => $19)
           -- A role that sees other sessions takes the lead from one that does not.
           OR guard.readings @> '[{"signal": "active_sessions", "value": null}]' AND pg_has_role('pg_read_all_stats', 'USAGE') AS lead_is_free,
       guard.readings::text AS readings,
       extract(epoch FROM guard.read_at)::float8 AS read_at_s,
       extract(epoch FROM clock_timestamp() - guard.read_at)::float8 AS read_s_ago,
       guard.share,
       guard.share_why,
       guard.batch_ms,
       -- A leader of an earlier version reads the signals and does not look who is there.
       CASE WHEN guard.looked_at > guard.read_at - interval '0.5 s'
            THEN extract(epoch FROM clock_timestamp() - guard.alone_since)::float8 END AS alone_s,
       extract(epoch FROM guard.quiet_from - clock_timestamp())::float8 AS quiet_in_s,
       extract(epoch FROM guard.quiet_until - clock_timestamp())::float8 AS quiet_until_s
FROM pgbackfill.run
CROSS JOIN pgbackfill.guard
CROSS JOIN (
    SELECT sum(workers) AS workers, count(*) AS processes, sum(rows_per_s) AS rows_per_s, sum(rows_passed_per_s) AS rows_passed_per_s
    FROM pgbackfill.process
    WHERE run = $1
    AND process <> $2
    AND left_at IS NULL
    AND last_seen BETWEEN clock_timestamp() - make_interval(secs => $10) AND clock_timestamp() + make_interval(secs => $10)
) AS others
CROSS JOIN (
    SELECT sum(auto_workers) AS auto_workers, sum(busy) AS busy
    FROM pgbackfill.process
    WHERE process <> $2
    AND auto_workers > 0
    AND left_at IS NULL
    AND last_seen BETWEEN clock_timestamp() - make_interval(secs => $10) AND clock_timestamp() + make_interval(secs => $10)
) AS all_others
WHERE run.id = $1
