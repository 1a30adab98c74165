"""Evidence: a chain of sealed days that shows any later change of the ledger, down to the row."""
