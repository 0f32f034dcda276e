-- name: transaction_mark
-- Tells this transaction from all others: its backend, and when it began.
SELECT pg_backend_pid(), extract(epoch FROM now())::text
