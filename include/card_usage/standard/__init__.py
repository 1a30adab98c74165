"""Standard: the platform's code tables, a hospital's aliases, the rules, and the normal form of a row."""
