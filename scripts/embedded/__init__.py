"""Airflow and its neighbours on one machine for as long as somebody needs them: for the demo and for tests.

Promises: nothing listens on another address than 127.0.0.1, nothing is written outside the given folder, and whatever
way the one who started it ends, kill -9 included, no process of it is left running.
"""
