-- From the catalog's rows: to_regclass would answer from the session's cache, which says "no such schema" even after another
-- session has installed it while we waited for the lock.
SELECT EXISTS (
    SELECT
    FROM pg_catalog.pg_class AS c
    JOIN pg_catalog.pg_namespace AS n ON n.oid = c.relnamespace
    WHERE n.nspname = 'pgbackfill'
    AND c.relname = 'version'
) AS installed
