# SPDX-License-Identifier: Apache-2.0
"""promtool, which checks what Prometheus would read."""

import os
import shutil
import subprocess
from pathlib import Path


def find_promtool(directory):
    """Debian 12 has it in a package that would start a server: the one program is taken out of it, in the directory, and kept.
    None: there is no such package here."""
    found = shutil.which("promtool")
    cache = Path(os.environ.get("XDG_CACHE_HOME", Path.home() / ".cache")) / "ecs-authd" / "promtool"
    if not found and not cache.exists():
        # Debian 13 has it in one of its own.
        subprocess.run("apt-get -q download promtool || apt-get -q download prometheus; dpkg-deb -x prom*.deb .", shell=True,
                       cwd=directory, capture_output=True, check=False)
        if (directory / "usr/bin/promtool").exists():
            cache.parent.mkdir(parents=True, exist_ok=True)
            shutil.move(directory / "usr/bin/promtool", cache)
    if not found and not cache.exists():
        return None
    return found or str(cache)
