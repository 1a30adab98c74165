"""Words: every text that people outside the team read, in Chinese and English."""
