#!/bin/sh
# First start of the compose file's PostgreSQL: a database of its own for the ledger, beside Airflow's, and its two roles.
#
# Run by the image once, when the data volume is empty. `card_usage` owns the ledger and cannot see Airflow's metadata;
# `card_usage_pages` is given its rights by `python -m card_usage ledger allow-pages`. No password is an argument.
set -eu
LEDGER_PASSWORD=$(cat "$LEDGER_PASSWORD_FILE") PAGES_PASSWORD=$(cat "$PAGES_PASSWORD_FILE") \
  psql --username "$POSTGRES_USER" --dbname "$POSTGRES_DB" --set ON_ERROR_STOP=1 <<'SQL'
\getenv ledger LEDGER_PASSWORD
\getenv pages PAGES_PASSWORD
CREATE ROLE card_usage LOGIN PASSWORD :'ledger';
CREATE ROLE card_usage_pages LOGIN PASSWORD :'pages';
CREATE DATABASE card_usage OWNER card_usage ENCODING 'UTF8' TEMPLATE template0;
REVOKE CONNECT ON DATABASE card_usage FROM PUBLIC;
REVOKE CONNECT ON DATABASE airflow FROM PUBLIC;
SQL
