"""Delivery: claims due events, sends each once under a stored request id, and settles what the answers mean."""
