-- name: run_table_lock
-- Only one process at a time decides whether a run of a job is to be made; readers do not wait.
LOCK TABLE pgbackfill.run IN SHARE ROW EXCLUSIVE MODE
