-- name: schema_create
-- IF NOT EXISTS asks for the privilege to create even where nothing is to be created; a schema that a DBA has
-- prepared must do.
DO $$
BEGIN
    IF NOT EXISTS (SELECT FROM pg_catalog.pg_namespace WHERE nspname = 'pgbackfill') THEN
        CREATE SCHEMA pgbackfill;
    END IF;
END
$$
