-- Version 2: one line for the migration that must come after, whatever tool runs it.
CREATE FUNCTION pgbackfill.assert_complete(job_name text) RETURNS void
LANGUAGE plpgsql STABLE
SET search_path = pg_catalog, pg_temp
AS $$
DECLARE
    latest pgbackfill.run;
    bad    bigint;
BEGIN
    SELECT * INTO latest FROM pgbackfill.run WHERE job = job_name ORDER BY id DESC LIMIT 1;
    IF latest.id IS NULL THEN
        RAISE EXCEPTION 'backfill "%" has never been run in this database', job_name
            USING ERRCODE = 'object_not_in_prerequisite_state',
                  HINT = format('run it first: pgbackfill run %s.toml', job_name);
    END IF;
    IF latest.state <> 'complete' THEN
        RAISE EXCEPTION 'backfill "%" is not complete: run % is %', job_name, latest.id, latest.state
            USING ERRCODE = 'object_not_in_prerequisite_state',
                  DETAIL = coalesce(latest.reason, 'it is still being worked on, or was stopped'),
                  HINT = format('see: pgbackfill status %s', job_name);
    END IF;
    SELECT count(*) INTO bad FROM pgbackfill.bad_row WHERE run = latest.id;
    IF bad > 0 THEN
        RAISE EXCEPTION 'backfill "%" left % rows in the quarantine', job_name, bad
            USING ERRCODE = 'object_not_in_prerequisite_state',
                  HINT = format('see: SELECT * FROM pgbackfill.bad_row WHERE run = %s', latest.id);
    END IF;
END
$$;
COMMENT ON FUNCTION pgbackfill.assert_complete(text) IS 'raises unless the latest run of the job is complete without bad rows';
