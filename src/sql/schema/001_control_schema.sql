-- The control schema, version 1. It lives in the target database, so that a checkpoint commits together with
-- the rows.

CREATE TABLE pgbackfill.version (
    number       int         NOT NULL PRIMARY KEY,
    installed_at timestamptz NOT NULL DEFAULT clock_timestamp(),
    installed_by text        NOT NULL
);
COMMENT ON TABLE pgbackfill.version IS 'one row for each step of the control schema; the highest number is its version';

-- One execution of a job.
CREATE TABLE pgbackfill.run (
    id                bigint      GENERATED ALWAYS AS IDENTITY PRIMARY KEY,
    job               text        NOT NULL,
    fingerprint       text        NOT NULL,
    definition        text        NOT NULL,
    job_text          text        NOT NULL,
    state             text        NOT NULL DEFAULT 'running'
                      CHECK (state IN ('running', 'paused', 'blocked', 'cancelled', 'complete')),
    reason            text,
    knobs             jsonb       NOT NULL,
    target            oid         NOT NULL,
    target_name       text        NOT NULL,
    key               jsonb       NOT NULL,
    settings          jsonb       NOT NULL,
    protocol          int         NOT NULL,
    system_identifier text        NOT NULL,
    timeline          int         NOT NULL,
    created_at        timestamptz NOT NULL DEFAULT clock_timestamp(),
    created_by        text        NOT NULL,
    state_at          timestamptz NOT NULL DEFAULT clock_timestamp(),
    completed_at      timestamptz,
    -- A state that needs a person says why.
    CHECK ((state IN ('paused', 'blocked', 'cancelled')) = (reason IS NOT NULL)),
    CHECK ((state = 'complete') = (completed_at IS NOT NULL))
);
-- Two processes that start the same job at the same moment cannot make two runs of it.
CREATE UNIQUE INDEX run_unfinished ON pgbackfill.run (job) WHERE state NOT IN ('cancelled', 'complete');
CREATE INDEX run_job ON pgbackfill.run (job, id);

-- One table without partitions of its own: the target itself, or a leaf partition. Planning goes leaf by
-- leaf.
CREATE TABLE pgbackfill.leaf (
    run            bigint  NOT NULL REFERENCES pgbackfill.run ON DELETE CASCADE,
    number         int     NOT NULL,
    relation       oid     NOT NULL,
    schema         text    NOT NULL,
    name           text    NOT NULL,
    shape          text    NOT NULL,
    bound          text[],
    frontier       text[],
    state          text    NOT NULL CHECK (state IN ('open', 'planned')),
    rows_estimated bigint  NOT NULL CHECK (rows_estimated >= 0),
    found_at       timestamptz NOT NULL DEFAULT clock_timestamp(),
    PRIMARY KEY (run, number),
    UNIQUE (run, relation),
    -- All planned means: the frontier has reached the bound (an empty leaf has neither).
    CHECK ((state = 'planned') = (frontier IS NOT DISTINCT FROM bound))
);
COMMENT ON COLUMN pgbackfill.leaf.bound IS 'the last key when the leaf was found; later keys are the application''s dual write';
COMMENT ON COLUMN pgbackfill.leaf.frontier IS 'ranges are planned up to here; NULL: none yet';
COMMENT ON COLUMN pgbackfill.leaf.shape IS 'the key columns'' types and collations; another shape is another order';

-- (lo, hi] of keys: the unit of claim. Its row lock is the lease.
CREATE TABLE pgbackfill.range (
    run          bigint  NOT NULL,
    number       bigint  NOT NULL,
    leaf         int     NOT NULL,
    lo           text[],
    hi           text[]  NOT NULL,
    stripes      int     NOT NULL DEFAULT 1 CHECK (stripes IN (1, 2, 4, 8, 16, 32)),
    stripe       int     NOT NULL DEFAULT 0 CHECK (stripe >= 0 AND stripe < stripes),
    cursor       text[],
    state        text    NOT NULL DEFAULT 'open' CHECK (state IN ('open', 'done')),
    rows_planned bigint  NOT NULL CHECK (rows_planned >= 0),
    rows_passed  bigint  NOT NULL DEFAULT 0 CHECK (rows_passed >= 0),
    rows_changed bigint  NOT NULL DEFAULT 0 CHECK (rows_changed >= 0),
    attempts     int     NOT NULL DEFAULT 0,
    hint_worker  text,
    hint_until   timestamptz,
    PRIMARY KEY (run, number),
    FOREIGN KEY (run, leaf) REFERENCES pgbackfill.leaf ON DELETE CASCADE,
    -- Done means: the last stripe has reached the end.
    CHECK (state <> 'done' OR (stripe = stripes - 1 AND cursor = hi))
) WITH (fillfactor = 40, autovacuum_vacuum_scale_factor = 0.05);
-- Its columns do not change while the range is worked on, so a checkpoint stays HOT.
CREATE INDEX range_open ON pgbackfill.range (run, number) WHERE state = 'open';
COMMENT ON COLUMN pgbackfill.range.cursor IS 'the rows of this stripe are done up to here; NULL: from lo';
COMMENT ON COLUMN pgbackfill.range.hint_worker IS 'keeps workers from bumping into each other; correctness never reads it';

-- The quarantine: rows whose own data made the change fail.
CREATE TABLE pgbackfill.bad_row (
    run      bigint      NOT NULL,
    leaf     int         NOT NULL,
    key      text[]      NOT NULL,
    sqlstate text        NOT NULL,
    message  text        NOT NULL,
    at       timestamptz NOT NULL DEFAULT clock_timestamp(),
    PRIMARY KEY (run, leaf, key),
    FOREIGN KEY (run, leaf) REFERENCES pgbackfill.leaf ON DELETE CASCADE
);

-- Who is here: one row a process. Nothing depends on it but shares of a rate and what a person sees.
CREATE TABLE pgbackfill.process (
    run        bigint      NOT NULL REFERENCES pgbackfill.run ON DELETE CASCADE,
    process    text        NOT NULL,
    host       text        NOT NULL,
    pid        int         NOT NULL,
    version    text        NOT NULL,
    workers    int         NOT NULL,
    started_at timestamptz NOT NULL DEFAULT clock_timestamp(),
    last_seen  timestamptz NOT NULL DEFAULT clock_timestamp(),
    rows_per_s float8      NOT NULL DEFAULT 0,
    waiting    text,
    last_error text,
    PRIMARY KEY (run, process)
) WITH (fillfactor = 40);

-- The audit trail: every change of state and of knobs, who and when.
CREATE TABLE pgbackfill.event (
    id     bigint      GENERATED ALWAYS AS IDENTITY PRIMARY KEY,
    run    bigint      NOT NULL REFERENCES pgbackfill.run ON DELETE CASCADE,
    at     timestamptz NOT NULL DEFAULT clock_timestamp(),
    kind   text        NOT NULL,
    by     text        NOT NULL,
    detail text        NOT NULL
);
CREATE INDEX event_run ON pgbackfill.event (run, id);
