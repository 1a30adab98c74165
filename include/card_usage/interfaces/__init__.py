"""Interfaces: every interface of the open platform (document 3.2) with its fields, declared once."""
