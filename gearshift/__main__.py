"""python -m gearshift: the same command without an installed script."""

import sys

from gearshift.cli import main

sys.exit(main())
