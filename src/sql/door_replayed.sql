-- name: door_replayed
-- Standbys that serve queries, perhaps, and have not replayed the WAL up to there.
SELECT coalesce(nullif(application_name, ''), 'unnamed') AS standby
FROM pg_stat_replication
WHERE state IN ('streaming', 'catchup')
AND replay_lsn < $1::text::pg_lsn
