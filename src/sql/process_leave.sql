-- name: process_leave
-- What it spent its time on stays, and how often it had to try again.
UPDATE pgbackfill.process
SET left_at = clock_timestamp(), workers = 0, auto_workers = 0, waiting = NULL, waiting_since = NULL, hold = NULL, retries = $3
WHERE run = $1
AND process = $2
