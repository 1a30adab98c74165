"""Delivery ledger: one row per card use, written before anything is sent.

schema      the tables and the states of an event
database    open, migrate, check
intake      staged rows in: new, unchanged, changed, voided
delivery    claim, settle, recover: the moves of a delivery
decisions   what a person decides about refused events
workers     who is delivering, and whether it still lives
holds       why a hospital's deliveries stand still
quota       calls of a platform day
executor        the ledger for asynchronous callers
counts      what reports and reconciliation read
"""
