"""Configuration: settings of a process, connections, keys, a hospital's file. No secret stands in a file."""
