-- name: transaction_timeout_off
-- From version 17 on a role may have a limit for whole transactions, which ends the session. Ours have a
-- limit for each statement and for the time between two of them. Before that the setting is not there, and
-- nothing is set.
SELECT set_config('transaction_timeout', '0', true)
WHERE current_setting('transaction_timeout', true) IS NOT NULL
