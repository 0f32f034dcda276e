SELECT to_regclass('pgbackfill.version') IS NOT NULL AS installed
