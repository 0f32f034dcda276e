-- Version 10: leaves that are walked by block. A row that an application updates meanwhile moves, so such a
-- leaf is passed again until a pass finds nothing, and whether that is proof is written down.
ALTER TABLE pgbackfill.leaf
    ADD COLUMN scan           text   NOT NULL DEFAULT 'keys' CHECK (scan IN ('keys', 'heap')),
    ADD COLUMN pass           int    NOT NULL DEFAULT 0 CHECK (pass >= 0),
    ADD COLUMN sweep          int    NOT NULL DEFAULT 0 CHECK (sweep >= 0),
    ADD COLUMN rows_per_block float8 CHECK (rows_per_block >= 0),
    ADD COLUMN filenode       oid,
    ADD COLUMN found_before   bigint,
    ADD COLUMN sweeps_estimated bigint NOT NULL DEFAULT 0 CHECK (sweeps_estimated >= 0),
    ADD COLUMN swept          text   CHECK (swept IN ('clean', 'rows come')),
    ADD CHECK ((scan = 'heap') = (rows_per_block IS NOT NULL));
COMMENT ON COLUMN pgbackfill.leaf.scan IS 'in which order it is walked: by key, or by block';
COMMENT ON COLUMN pgbackfill.leaf.pass IS 'how often it was walked before from its beginning, in whichever order and file';
COMMENT ON COLUMN pgbackfill.leaf.sweep IS 'which pass over all blocks this is that looks for rows that moved; 0: the first, which changes them';
COMMENT ON COLUMN pgbackfill.leaf.filenode IS 'the file that the marks are of; a rewrite of the table (VACUUM FULL, CLUSTER) makes another';
COMMENT ON COLUMN pgbackfill.leaf.found_before IS 'rows that the sweep before the present one changed; NULL: there is none to compare with';
COMMENT ON COLUMN pgbackfill.leaf.swept IS 'how its sweeps ended: one found nothing, or rows that match keep coming; NULL: not yet';

COMMENT ON COLUMN pgbackfill.leaf.sweeps_estimated IS 'as how many rows its sweeps count: a row that is only read is a part of one that is changed';

ALTER TABLE pgbackfill.range
    ADD COLUMN pass  int     NOT NULL DEFAULT 0,
    ADD COLUMN swept boolean NOT NULL DEFAULT false;
COMMENT ON COLUMN pgbackfill.range.pass IS 'the pass of its leaf that it belongs to';
COMMENT ON COLUMN pgbackfill.range.swept IS 'whether that is a sweep';

ALTER TABLE pgbackfill.run
    ADD COLUMN proven   boolean,
    ADD COLUMN proof    text;
COMMENT ON COLUMN pgbackfill.run.proven IS 'whether no row matched any more at its end, by one pass under one snapshot; NULL: it walks by key, which misses none';
COMMENT ON COLUMN pgbackfill.run.proof IS 'how that was found out, or why it was not';

CREATE OR REPLACE FUNCTION pgbackfill.assert_complete(job_name text) RETURNS void
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
    IF NOT latest.proven THEN
        RAISE EXCEPTION 'backfill "%" is complete, but not proven: rows may be left that match', job_name
            USING ERRCODE = 'object_not_in_prerequisite_state',
                  DETAIL = latest.proof,
                  HINT = format('see: pgbackfill status %s', job_name);
    END IF;
END
$$;
COMMENT ON FUNCTION pgbackfill.assert_complete(text) IS 'raises unless the latest run of the job is complete without bad rows, and proven where it walked by block';
