"""Command line: the verbs of `python -m card_usage`, one file for each package that has some."""
