#!/bin/sh
# First start of the compose file's PostgreSQL: a role and a database of its own for the ledger, beside Airflow's.
#
# Run by the image once, when the data volume is empty. The role owns the ledger and cannot see Airflow's metadata.
set -eu
psql --username "$POSTGRES_USER" --dbname "$POSTGRES_DB" --set ON_ERROR_STOP=1 --set password="$LEDGER_PASSWORD" <<'SQL'
CREATE ROLE card_usage LOGIN PASSWORD :'password';
CREATE DATABASE card_usage OWNER card_usage ENCODING 'UTF8' TEMPLATE template0;
REVOKE CONNECT ON DATABASE card_usage FROM PUBLIC;
REVOKE CONNECT ON DATABASE airflow FROM PUBLIC;
SQL
