"""Open platform: every interface of document 3.2 as typed calls that are validated before they are sent."""
