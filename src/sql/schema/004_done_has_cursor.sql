-- Version 4: a comparison with NULL is not false, so the check of a range that is done let a missing cursor
-- pass.
ALTER TABLE pgbackfill.range ADD CHECK (state <> 'done' OR cursor IS NOT NULL);
