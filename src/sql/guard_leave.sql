-- Whoever comes next need not wait for the lead to run out.
UPDATE pgbackfill.guard
SET leader = NULL, leader_until = NULL
WHERE leader = $1
