-- name: guard_leave
-- The next leader need not wait for the lead to run out. Nor do we wait: a reading of ours that was cut off
-- may still hold the row.
UPDATE pgbackfill.guard
SET leader = NULL, leader_until = NULL
WHERE only_row IN (
    SELECT only_row
    FROM pgbackfill.guard
    WHERE leader = $1
    FOR UPDATE SKIP LOCKED
)
