-- name: door_facts
-- What the statements of this session are limited by, and which backend runs them.
SELECT (SELECT setting::int FROM pg_settings WHERE name = 'lock_timeout') AS lock_timeout_ms,
       (SELECT setting::int FROM pg_settings WHERE name = 'statement_timeout') AS statement_timeout_ms,
       pg_backend_pid() AS backend
