-- name: step_progress
-- How far this session has got with its index, and whom it waits for.
SELECT p.phase,
       CASE WHEN p.blocks_total > 0 THEN 100 * p.blocks_done / p.blocks_total
            WHEN p.tuples_total > 0 THEN 100 * p.tuples_done / p.tuples_total END AS percent,
       CASE WHEN p.lockers_total > 0 THEN nullif(p.current_locker_pid, 0)::int END AS locker,
       locker.usename::text AS user_name,
       nullif(locker.application_name, '') AS application,
       locker.state,
       1000 * extract(epoch FROM clock_timestamp() - locker.xact_start)::float8 AS age_ms
FROM pg_stat_progress_create_index AS p
LEFT JOIN pg_stat_activity AS locker ON locker.pid = p.current_locker_pid
WHERE p.pid = $1
