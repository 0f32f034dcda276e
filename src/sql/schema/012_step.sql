-- Version 12: the steps of expand and contract. The catalog decides whether a step is done; its row says who
-- did it, when, and what the application had to wait for it.
CREATE TABLE pgbackfill.step (
    id            bigint      NOT NULL GENERATED ALWAYS AS IDENTITY PRIMARY KEY,
    job           text        NOT NULL,
    phase         text        NOT NULL CHECK (phase IN ('expand', 'contract')),
    kind          text        NOT NULL,
    name          text        NOT NULL,
    definition    text        NOT NULL,
    relation      oid         NOT NULL,
    relation_name text        NOT NULL,
    state         text        NOT NULL CHECK (state IN ('doing', 'done', 'undone')),
    made_by       text        NOT NULL,
    adopted       boolean     NOT NULL DEFAULT false,
    tries         int         NOT NULL DEFAULT 0,
    stood_ms      float8      NOT NULL DEFAULT 0,
    held_ms       float8      NOT NULL DEFAULT 0,
    asked_at      timestamptz,
    locked_at     timestamptz,
    door_until    timestamptz,
    waits_for     text,
    backend       int         NOT NULL,
    backend_start timestamptz,
    began_at      timestamptz NOT NULL DEFAULT clock_timestamp(),
    seen_at       timestamptz NOT NULL DEFAULT clock_timestamp(),
    done_at       timestamptz,
    UNIQUE (job, phase, kind, name)
);
COMMENT ON COLUMN pgbackfill.step.adopted IS 'it was there already, made by others';
COMMENT ON COLUMN pgbackfill.step.tries IS 'how often it queued for its lock';
COMMENT ON COLUMN pgbackfill.step.stood_ms IS 'how long it stood in the queue for its lock, in front of whoever came later';
COMMENT ON COLUMN pgbackfill.step.held_ms IS 'how long it held the lock, the end of COMMIT included';
COMMENT ON COLUMN pgbackfill.step.door_until IS 'until then batches of runs on this table make way';
COMMENT ON COLUMN pgbackfill.step.seen_at IS 'when its process was last heard of';
