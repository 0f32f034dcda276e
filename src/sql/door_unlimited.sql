-- name: door_unlimited
-- Takes away, for this session, what would end it while it waits for its turn or builds an index; not every
-- version has each of them.
SELECT set_config(name, '0', false)
FROM pg_settings
WHERE name IN ('idle_session_timeout', 'transaction_timeout')
