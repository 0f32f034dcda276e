-- name: transaction_end
-- Ends a backend that is still in that very transaction; another's, or another transaction on it, is left
-- alone.
SELECT pg_terminate_backend(pid)
FROM pg_stat_activity
WHERE pid = $1
AND extract(epoch FROM xact_start)::text = $2
