-- Version 14: the values that a run replaces are kept, in a table of each run that keeps them (undo_<run>), and
-- can be put back.
ALTER TABLE pgbackfill.run
    ADD COLUMN keeps_old boolean NOT NULL DEFAULT false,
    DROP CONSTRAINT run_kind_check,
    ADD CONSTRAINT run_kind_check CHECK (kind IN ('backfill', 'verify', 'repair', 'undo'));
COMMENT ON COLUMN pgbackfill.run.keeps_old IS 'whether the values that it replaces are kept, in pgbackfill.undo_<id>';

-- What an undo has left as it is.
CREATE TABLE pgbackfill.undo_left (
    run bigint NOT NULL REFERENCES pgbackfill.run ON DELETE CASCADE,
    key text[] NOT NULL,
    why text   NOT NULL CHECK (why IN ('changed', 'gone'))
);
CREATE INDEX undo_left_run ON pgbackfill.undo_left (run);
COMMENT ON TABLE pgbackfill.undo_left IS 'rows that an undo has left as they are: their columns were changed since the run has written them, or the row is gone';

CREATE OR REPLACE FUNCTION pgbackfill.state(job_name text) RETURNS text
LANGUAGE sql STABLE
SET search_path = pg_catalog, pg_temp
AS $$
    SELECT coalesce((
        SELECT CASE
                   WHEN EXISTS (SELECT FROM pgbackfill.run AS u WHERE u.of_run = run.id AND u.kind = 'undo') THEN 'undone'
                   WHEN run.state <> 'complete' THEN run.state
                   WHEN EXISTS (SELECT FROM pgbackfill.bad_row WHERE bad_row.run = run.id) THEN 'complete with bad rows'
                   WHEN NOT run.proven THEN 'complete, not proven'
                   ELSE 'complete'
               END
        FROM pgbackfill.run
        WHERE run.job = job_name
        AND run.kind = 'backfill'
        ORDER BY run.id DESC
        LIMIT 1
    ), 'never run')
$$;
COMMENT ON FUNCTION pgbackfill.state(text) IS 'the state of the latest backfill of the job: never run, running, paused, blocked, cancelled, undone, complete with bad rows; complete, not proven; complete';

CREATE OR REPLACE FUNCTION pgbackfill.assert_complete(job_name text) RETURNS void
LANGUAGE plpgsql STABLE
SET search_path = pg_catalog, pg_temp
AS $$
DECLARE
    latest pgbackfill.run;
    bad    bigint;
BEGIN
    SELECT * INTO latest FROM pgbackfill.run WHERE job = job_name AND kind = 'backfill' ORDER BY id DESC LIMIT 1;
    IF latest.id IS NULL THEN
        RAISE EXCEPTION 'backfill "%" has never been run in this database', job_name
            USING ERRCODE = 'object_not_in_prerequisite_state',
                  HINT = format('run it first: pgbackfill run %s.toml', job_name);
    END IF;
    IF EXISTS (SELECT FROM pgbackfill.run WHERE of_run = latest.id AND kind = 'undo') THEN
        RAISE EXCEPTION 'backfill "%" is not complete: run % was undone', job_name, latest.id
            USING ERRCODE = 'object_not_in_prerequisite_state',
                  HINT = format('run it again: pgbackfill run %s.toml --new-run', job_name);
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
    IF NOT latest.proven THEN
        RAISE EXCEPTION 'backfill "%" is complete, but not proven: rows may be left that match', job_name
            USING ERRCODE = 'object_not_in_prerequisite_state',
                  DETAIL = latest.proof,
                  HINT = format('see: pgbackfill status %s', job_name);
    END IF;
END
$$;
