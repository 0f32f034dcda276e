-- name: session_kind
-- What target_session_attrs asks of a server; a standby reports both.
SELECT pg_is_in_recovery() AS standby,
       current_setting('transaction_read_only')::bool AS read_only
