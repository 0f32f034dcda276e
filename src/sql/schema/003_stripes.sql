-- Version 3: what tells a key's stripe, and how many updates were HOT.
ALTER TABLE pgbackfill.range
    ADD COLUMN stripe_shift int CHECK (stripe_shift BETWEEN 0 AND 62),
    ADD COLUMN rows_hot bigint NOT NULL DEFAULT 0 CHECK (rows_hot >= 0);
COMMENT ON COLUMN pgbackfill.range.stripe_shift IS 'the lowest bit of the key that tells its stripe; NULL: a hash of the key does';
COMMENT ON COLUMN pgbackfill.range.rows_hot IS 'changed rows whose new version stayed on its page and cost no index an entry';
