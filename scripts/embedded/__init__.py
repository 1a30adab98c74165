"""Embedded services: Airflow and other child processes on one machine, for the demo and for tests.

Promises: nothing listens on another address than 127.0.0.1, nothing is written outside the given folder, and whatever
way the one who started it ends, kill -9 included, no process of it is left running.
"""
