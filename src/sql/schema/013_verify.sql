-- Version 13: runs that are no backfill. A verification reads what a backfill has made, and what it has found
-- out is what `contract` and gates build upon; a repair changes the rows that a verification has found.
ALTER TABLE pgbackfill.run
    ADD COLUMN kind   text   NOT NULL DEFAULT 'backfill' CHECK (kind IN ('backfill', 'verify', 'repair')),
    ADD COLUMN of_run bigint REFERENCES pgbackfill.run ON DELETE CASCADE,
    ADD CHECK ((kind = 'backfill') = (of_run IS NULL));
COMMENT ON COLUMN pgbackfill.run.of_run IS 'of a verification the backfill that it reads, of a repair the verification whose rows it changes';
DROP INDEX pgbackfill.run_unfinished;
CREATE UNIQUE INDEX run_unfinished ON pgbackfill.run (job, kind) WHERE state NOT IN ('cancelled', 'complete');

ALTER TABLE pgbackfill.range ADD COLUMN rows_wrong bigint NOT NULL DEFAULT 0 CHECK (rows_wrong >= 0);
COMMENT ON COLUMN pgbackfill.range.rows_wrong IS 'of a verification: rows that differed when they were read';

-- Rows that differed when they were read: an application may be between two transactions that belong together.
CREATE TABLE pgbackfill.suspect (
    run         bigint      NOT NULL,
    leaf        int         NOT NULL,
    key         text[]      NOT NULL,
    range       bigint      NOT NULL,
    what        text        NOT NULL,
    row_version text        NOT NULL,
    looks       int         NOT NULL DEFAULT 1,
    state       text        NOT NULL DEFAULT 'suspect' CHECK (state IN ('suspect', 'confirmed', 'moving', 'dropped')),
    seen_at     timestamptz NOT NULL DEFAULT clock_timestamp(),
    PRIMARY KEY (run, leaf, key),
    FOREIGN KEY (run, leaf) REFERENCES pgbackfill.leaf ON DELETE CASCADE
);
CREATE INDEX suspect_due ON pgbackfill.suspect (run, seen_at) WHERE state = 'suspect';
COMMENT ON COLUMN pgbackfill.suspect.row_version IS 'the xmin of the row that was seen';
COMMENT ON COLUMN pgbackfill.suspect.state IS 'suspect: to be looked at again; confirmed: the same version was still wrong; moving: wrong at each look, each time another version; dropped: right by now, or gone';

-- What a verification has found out.
CREATE TABLE pgbackfill.verification (
    run         bigint      NOT NULL PRIMARY KEY REFERENCES pgbackfill.run ON DELETE CASCADE,
    of_run      bigint      NOT NULL REFERENCES pgbackfill.run ON DELETE CASCADE,
    expressions text        NOT NULL,
    compared    text[]      NOT NULL,
    sync        text[],
    began_at    timestamptz NOT NULL DEFAULT clock_timestamp(),
    began_lsn   pg_lsn      NOT NULL DEFAULT pg_current_wal_insert_lsn(),
    ended_at    timestamptz,
    ended_lsn   pg_lsn,
    rows        bigint,
    rows_later  bigint,
    mismatches  bigint,
    moving      bigint,
    unlisted    bigint,
    bad_rows    bigint,
    verified    boolean,
    CHECK ((ended_at IS NULL) = (verified IS NULL))
);
CREATE INDEX verification_of ON pgbackfill.verification (of_run, run);
COMMENT ON COLUMN pgbackfill.verification.expressions IS 'SHA-256 of the job''s texts that were compared';
COMMENT ON COLUMN pgbackfill.verification.sync IS 'the triggers that kept the columns in step when it began, each with its versions in the catalog; NULL: there was none';
COMMENT ON COLUMN pgbackfill.verification.rows IS 'rows compared up to the last key of the backfill';
COMMENT ON COLUMN pgbackfill.verification.rows_later IS 'rows compared that came after it';
COMMENT ON COLUMN pgbackfill.verification.unlisted IS 'rows that differed when they were read and were too many to be looked at again';

-- The triggers of a function in the catalog, as a verification remembers them.
CREATE FUNCTION pgbackfill.sync_versions(function oid) RETURNS text[]
LANGUAGE sql STABLE
SET search_path = pg_catalog, pg_temp
AS $$
    SELECT array_agg(concat_ws(' ', t.oid, t.xmin, p.oid, p.xmin) ORDER BY t.oid)
    FROM pg_trigger AS t
    JOIN pg_proc AS p ON p.oid = t.tgfoid
    WHERE t.tgfoid = function
    AND t.tgenabled IN ('O', 'A')
$$;

CREATE FUNCTION pgbackfill.unverified(job_name text, within interval DEFAULT NULL) RETURNS text
LANGUAGE plpgsql STABLE
SET search_path = pg_catalog, pg_temp
AS $$
DECLARE
    latest pgbackfill.verification;
BEGIN
    SELECT v.* INTO latest
    FROM pgbackfill.verification AS v
    WHERE v.of_run = (SELECT id FROM pgbackfill.run WHERE job = job_name AND kind = 'backfill' ORDER BY id DESC LIMIT 1)
    AND v.ended_at IS NOT NULL
    ORDER BY v.run DESC
    LIMIT 1;
    IF latest.run IS NULL THEN
        RETURN 'it was not verified';
    END IF;
    IF NOT latest.verified THEN
        RETURN format('its latest verification, run %s, has failed', latest.run);
    END IF;
    -- A trigger that was disabled for a while has another version, and so has one that was made anew.
    IF EXISTS (SELECT FROM unnest(latest.sync) AS before
               WHERE before <> ALL (coalesce(pgbackfill.sync_versions(split_part(before, ' ', 3)::oid), '{}')))
       OR EXISTS (SELECT FROM unnest(latest.sync) AS before
                  JOIN pg_trigger AS t ON t.tgfoid = split_part(before, ' ', 3)::oid
                  WHERE t.tgenabled NOT IN ('O', 'A'))
    THEN
        RETURN format('its sync trigger was changed or disabled since it was verified by run %s', latest.run);
    END IF;
    -- Without a trigger what was true then need not be true now.
    IF latest.sync IS NULL THEN
        within := coalesce(within, '1 day');
    END IF;
    IF latest.ended_at < clock_timestamp() - within THEN
        RETURN format('it was verified by run %s, which was more than %s ago', latest.run, within);
    END IF;
    RETURN NULL;
END
$$;
COMMENT ON FUNCTION pgbackfill.unverified(text, interval) IS 'why the latest backfill of the job does not count as verified; NULL: it does. Without a sync trigger a verification counts for one day, unless another time is given';

CREATE FUNCTION pgbackfill.assert_complete(job_name text, verified boolean, within interval DEFAULT NULL) RETURNS void
LANGUAGE plpgsql STABLE
SET search_path = pg_catalog, pg_temp
AS $$
DECLARE
    why text;
BEGIN
    PERFORM pgbackfill.assert_complete(job_name);
    why := pgbackfill.unverified(job_name, within);
    IF verified AND why IS NOT NULL THEN
        RAISE EXCEPTION 'backfill "%" is complete, but not verified: %', job_name, why
            USING ERRCODE = 'object_not_in_prerequisite_state',
                  HINT = format('verify it: pgbackfill verify %s', job_name);
    END IF;
END
$$;
COMMENT ON FUNCTION pgbackfill.assert_complete(text, boolean, interval) IS 'raises unless the latest backfill of the job is complete and proven; with verified => true unless it was verified, too: within that time, if one is given';
