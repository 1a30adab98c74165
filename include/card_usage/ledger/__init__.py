"""Delivery ledger: one row per card use, written before anything is sent.

schema      the tables and the states of an event
database    open, migrate, check
intake      staged rows in: new, unchanged, changed, voided
delivery    claim, settle, recover: the moves of a delivery
workers     who is delivering, and whether it still lives
holds       why a hospital's deliveries stand still
counts      what reports and reconciliation read
"""
