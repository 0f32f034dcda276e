-- IF NOT EXISTS asks for the right to create even where nothing is to be created; a schema that a DBA has prepared must do.
DO $$
BEGIN
    IF to_regnamespace('pgbackfill') IS NULL THEN
        CREATE SCHEMA pgbackfill;
    END IF;
END
$$
