"""Terminal: output that its encoding cannot stop."""

import io
import sys


def print_anything() -> None:
    """Characters that the terminal's encoding lacks (a name like 𠮷 in GBK) are printed as \\U00020bb7, no error."""
    for stream in (sys.stdout, sys.stderr):
        if isinstance(stream, io.TextIOWrapper):
            stream.reconfigure(errors="backslashreplace")
