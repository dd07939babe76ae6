"""`python -m embench`, for where the command `embench` is not on the path."""

import sys

from embench.cli import main

sys.exit(main())
