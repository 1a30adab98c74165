"""Alerts: conditions seen in the ledger become incidents, one for each cause, and notices to the people who can act."""
