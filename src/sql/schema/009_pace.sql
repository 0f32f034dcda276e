-- Version 9: whether sessions of others are at work in the cluster, how long batches are beside them, and what
-- was learned last of how much the application bears.
ALTER TABLE pgbackfill.guard
    ADD COLUMN alone_since  timestamptz,
    ADD COLUMN looked_at    timestamptz,
    ADD COLUMN batch_ms     float8 CHECK (batch_ms > 0),
    ADD COLUMN learned      float8 CHECK (learned > 0),
    ADD COLUMN learned_load float8,
    ADD COLUMN learned_at   timestamptz;
COMMENT ON COLUMN pgbackfill.guard.alone_since IS 'since when no session of others has been at work; NULL: one is';
COMMENT ON COLUMN pgbackfill.guard.looked_at IS 'when alone_since was written: a leader of an earlier version leaves it as it was';
COMMENT ON COLUMN pgbackfill.guard.batch_ms IS 'how long a batch in mode auto takes while others are at work';
COMMENT ON COLUMN pgbackfill.guard.learned IS 'the effort that the application was last found to bear: batch-seconds a second, and beyond those of all workers longer batches';
COMMENT ON COLUMN pgbackfill.guard.learned_load IS 'sessions of others that were running a statement then, on average';
