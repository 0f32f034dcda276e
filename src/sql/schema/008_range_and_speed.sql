-- Version 8: which range a row of the quarantine belongs to, so that it is counted there after a change that
-- removes the row; and how fast rows are passed.
ALTER TABLE pgbackfill.bad_row ADD COLUMN range bigint;
COMMENT ON COLUMN pgbackfill.bad_row.range IS 'the range that has the row; NULL: put aside before version 8';

ALTER TABLE pgbackfill.process ADD COLUMN rows_passed_per_s float8 NOT NULL DEFAULT 0;
COMMENT ON COLUMN pgbackfill.process.rows_passed_per_s IS 'rows of the key that its workers pass, changed or not: what the time that is left is told from';
