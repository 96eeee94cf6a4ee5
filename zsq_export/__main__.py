"""``python -m zsq_export``."""

import sys

from zsq_export.cli import main

if __name__ == "__main__":
    sys.exit(main())
