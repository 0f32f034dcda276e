-- The heartbeat and the orders in one round trip. A CTE's own change is not seen beside it, so the others are counted alone.
WITH beat AS (
    INSERT INTO pgbackfill.process (run, process, host, pid, version, workers, rows_per_s, waiting, last_error)
    VALUES ($1, $2, $3, $4, $5, $6, $7, $8, $9)
    ON CONFLICT (run, process) DO UPDATE
    SET last_seen = clock_timestamp(),
        workers = excluded.workers,
        rows_per_s = excluded.rows_per_s,
        waiting = excluded.waiting,
        last_error = coalesce(excluded.last_error, process.last_error)
)
SELECT run.state,
       run.reason,
       run.knobs::text,
       coalesce(others.workers, 0)::bigint AS other_workers,
       others.processes AS other_processes,
       -- How far the whole server's log has got: what lies between two looks drives the checkpoints.
       (pg_current_wal_insert_lsn() - '0/0'::pg_lsn)::float8 AS wal_bytes
FROM pgbackfill.run
CROSS JOIN (
    SELECT sum(workers) AS workers, count(*) AS processes
    FROM pgbackfill.process
    WHERE run = $1
    AND process <> $2
    AND last_seen > clock_timestamp() - make_interval(secs => $10)
) AS others
WHERE run.id = $1
