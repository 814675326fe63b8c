-- Runs once, when the database is made: the agent's own role, which may read statistics and nothing else. It is what
-- `stack-exporter postgres grants` prints, with a password.
\set password `cat /run/secrets/monitoring_password`
CREATE ROLE "stack_exporter" LOGIN NOSUPERUSER NOCREATEDB NOCREATEROLE NOREPLICATION CONNECTION LIMIT 5;
GRANT CONNECT ON DATABASE "postgres" TO "stack_exporter";
GRANT pg_monitor TO "stack_exporter";
ALTER ROLE "stack_exporter" PASSWORD :'password';
CREATE EXTENSION pg_stat_statements;
