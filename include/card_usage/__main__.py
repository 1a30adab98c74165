"""`python -m card_usage`: hands over to the command line."""

import sys

from card_usage.cli.main import main

sys.exit(main())
