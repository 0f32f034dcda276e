-- name: row_changes
-- How many rows of $1 this transaction has inserted, updated and deleted, as the statistics count them.
SELECT pg_stat_get_xact_tuples_inserted($1) + pg_stat_get_xact_tuples_updated($1) + pg_stat_get_xact_tuples_deleted($1)
