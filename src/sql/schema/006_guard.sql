-- Version 6: what is read of the server for all runs of the database, by one process at a time, and what each
-- process spent its time on.
CREATE TABLE pgbackfill.guard (
    only_row     boolean     NOT NULL PRIMARY KEY DEFAULT true CHECK (only_row),
    leader       text,
    leader_until timestamptz,
    read_at      timestamptz,
    readings     jsonb       NOT NULL DEFAULT '[]',
    wal_lsn      pg_lsn,
    share        float8      CHECK (share > 0),
    share_why    text,
    quiet_from   timestamptz,
    quiet_until  timestamptz,
    CHECK ((leader IS NULL) = (leader_until IS NULL))
) WITH (fillfactor = 40);
INSERT INTO pgbackfill.guard DEFAULT VALUES;
COMMENT ON COLUMN pgbackfill.guard.share IS 'batch-seconds a second that all processes in mode auto may spend together';
COMMENT ON COLUMN pgbackfill.guard.quiet_from IS 'nobody works then, so that the application can be measured without us';

ALTER TABLE pgbackfill.process
    ADD COLUMN waiting_since timestamptz,
    ADD COLUMN hold text CHECK (hold IN ('throttled', 'paused', 'blocked')),
    ADD COLUMN working_ms bigint NOT NULL DEFAULT 0,
    ADD COLUMN throttled_ms bigint NOT NULL DEFAULT 0,
    ADD COLUMN paused_ms bigint NOT NULL DEFAULT 0,
    ADD COLUMN blocked_ms bigint NOT NULL DEFAULT 0,
    ADD COLUMN auto_workers int NOT NULL DEFAULT 0,
    ADD COLUMN busy float8 NOT NULL DEFAULT 0,
    ADD COLUMN left_at timestamptz;
COMMENT ON COLUMN pgbackfill.process.working_ms IS 'time of its workers, added up; a process that has left keeps its row for this';
COMMENT ON COLUMN pgbackfill.process.busy IS 'batch-seconds a second, lately';
