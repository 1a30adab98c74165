"""Everything that knows Airflow: how tasks open a pipeline, which failures are tried again, who hears of a failed run.

Light to import, because every DAG file does: no Variable, Connection, database, great_expectations or HTTP client.
"""
