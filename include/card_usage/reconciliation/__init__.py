"""Reconciliation: HIS, ledger and platform compared; every difference in one named class."""
