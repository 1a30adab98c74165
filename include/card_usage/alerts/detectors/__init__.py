"""Detectors: a file for each subject, which reads the ledger and tells what is wrong; `alerts.detection` finds them."""
