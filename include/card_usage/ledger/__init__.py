"""Ledger: tables, transactions, counts, holds and scopes that several packages share; one row per card use.

Statements that only one package needs stand in that package.
"""
