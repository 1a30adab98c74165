"""`python -m card_usage`: see cli.py."""

import sys

from card_usage.cli.main import main

sys.exit(main())
