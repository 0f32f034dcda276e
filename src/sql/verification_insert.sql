-- name: verification_insert
-- $5 the function of the sync trigger; NULL: the job has none.
INSERT INTO pgbackfill.verification (run, of_run, expressions, compared, sync)
VALUES ($1, $2, $3, $4, pgbackfill.sync_versions((
    SELECT oid
    FROM pg_catalog.pg_proc
    WHERE proname::text = $5
    AND pronamespace = (SELECT oid FROM pg_catalog.pg_namespace WHERE nspname = 'pgbackfill')
)))
