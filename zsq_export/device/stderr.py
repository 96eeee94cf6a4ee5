"""What runtimes write to the standard error by themselves."""

from __future__ import annotations

import os
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from tempfile import TemporaryFile


@contextmanager
def without_chatter() -> Iterator[None]:
    """Drops the line by which LiteRT tells the standard error that it made a delegate; other lines stay."""
    sys.stderr.flush()
    kept = os.dup(2)
    with TemporaryFile() as log:
        os.dup2(log.fileno(), 2)
        try:
            yield
        finally:
            os.dup2(kept, 2)
            os.close(kept)
            log.seek(0)
            for line in log.read().splitlines(keepends=True):
                if not line.startswith(b"INFO: "):
                    os.write(2, line)
