"""Onboarding: a new hospital's file, and the check of its HIS before anything is reported."""
