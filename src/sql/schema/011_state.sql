-- Version 11: the state of a job as one value, for tools that compare and do not catch.
CREATE FUNCTION pgbackfill.state(job_name text) RETURNS text
LANGUAGE sql STABLE
SET search_path = pg_catalog, pg_temp
AS $$
    SELECT coalesce((
        SELECT CASE
                   WHEN run.state <> 'complete' THEN run.state
                   WHEN EXISTS (SELECT FROM pgbackfill.bad_row WHERE bad_row.run = run.id) THEN 'complete with bad rows'
                   WHEN NOT run.proven THEN 'complete, not proven'
                   ELSE 'complete'
               END
        FROM pgbackfill.run
        WHERE run.job = job_name
        ORDER BY run.id DESC
        LIMIT 1
    ), 'never run')
$$;
COMMENT ON FUNCTION pgbackfill.state(text) IS 'the state of the latest run of the job: never run, running, paused, blocked, cancelled, complete with bad rows; complete, not proven; complete';
