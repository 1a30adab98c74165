"""Code mapping: local codes without a standard code, suggestions, and the release of the events they hold."""
