# SPDX-License-Identifier: Apache-2.0
import sys
from pathlib import Path

import pytest

sys.path.insert(0, str(Path(__file__).resolve().parent.parent))

from bus_host import BusHost  # noqa: E402


@pytest.fixture(name="host")
def make_host():
    """A host that has booted, with an agent without credentials; the daemon is not started yet."""
    host = BusHost()
    try:
        host.start()
        yield host
        host.check_end()
    finally:
        host.close()
