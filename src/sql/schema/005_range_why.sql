-- Version 5: why a range has so many stripes, for whoever looks at the run from elsewhere.
ALTER TABLE pgbackfill.range ADD COLUMN why text;
COMMENT ON COLUMN pgbackfill.range.why IS 'the reason for its number of stripes; NULL: planned before version 5';
