"""Metrics: what the ledger shows of every hospital, for a monitoring system that scrapes it."""
