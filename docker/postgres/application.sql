-- Runs once, when the database is made: the application's own role and database. It is no superuser.
\set password `cat /run/secrets/application_password`
CREATE ROLE "application" LOGIN PASSWORD :'password';
CREATE DATABASE "application" OWNER "application";
