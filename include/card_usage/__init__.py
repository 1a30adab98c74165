"""Card-use reporting: from a hospital's HIS to the electronic health card open platform, once each, with proof.

The domain. Never imports airflow; usable from the command line (`python -m card_usage`) and from tasks alike.
"""
