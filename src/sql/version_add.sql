-- name: version_add
INSERT INTO pgbackfill.version (number, installed_by)
VALUES ($1, $2)
