-- name: step_held
-- After the COMMIT of what a step does to the catalog: how long it held its lock, the COMMIT included, and how
-- far the WAL has got.
UPDATE pgbackfill.step
SET held_ms = held_ms + 1000 * extract(epoch FROM clock_timestamp() - locked_at),
    door_until = NULL
WHERE id = $1
RETURNING concat_ws(' ', (1000 * extract(epoch FROM locked_at - asked_at))::float8,
                    (1000 * extract(epoch FROM clock_timestamp() - locked_at))::float8,
                    pg_current_wal_insert_lsn())
