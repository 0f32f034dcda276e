-- Version 7: how often what each process began had to be done again.
ALTER TABLE pgbackfill.process ADD COLUMN retries bigint NOT NULL DEFAULT 0;
COMMENT ON COLUMN pgbackfill.process.retries IS 'a process that has left keeps its row for this';
