-- Runs once, when the database is made: the agent's own role, which may read statistics and nothing else.
CREATE ROLE stack_exporter LOGIN;
GRANT pg_monitor TO stack_exporter;
