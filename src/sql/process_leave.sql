DELETE FROM pgbackfill.process
WHERE run = $1
AND process = $2
