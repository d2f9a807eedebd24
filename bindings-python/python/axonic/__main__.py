"""`python -m axonic` is the `axonic` command."""

import sys

from ._cli import main

sys.exit(main())
