"""Platform: the client of the open platform, its signature, and what its answers mean."""
