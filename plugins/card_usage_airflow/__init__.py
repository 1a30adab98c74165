"""Everything that imports Airflow: a hospital's context in a task, retry policy, notifiers, trigger, reports in the UI.

Every DAG file imports this package, so it is light: no Variable, Connection, database, great_expectations or HTTP
client is loaded or read at import.
"""
