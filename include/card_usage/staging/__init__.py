"""Staging: a window's rows from the source into the ledger, normalized and judged; repeating it changes nothing."""
