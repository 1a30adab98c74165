"""Report: a hospital's day and month and the fleet, as pages, sheets, mails and JSON. Counts only."""
