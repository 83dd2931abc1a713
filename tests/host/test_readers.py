# SPDX-License-Identifier: Apache-2.0
"""systemd itself as the reader of ecs.config, beside the model of it that the conformance suite uses."""

import re
import subprocess
import sys
from pathlib import Path

import pytest

sys.path.append(str(Path(__file__).resolve().parents[1] / "conformance"))

import readers  # noqa: E402
from cases import CASES  # noqa: E402
from reader_lines import LINES  # noqa: E402

NAMES = {*"AKLM", "ECS_ENGINE_AUTH_TYPE", "ECS_ENGINE_AUTH_DATA"}


@pytest.fixture(scope="module")
def host(make_host):
    h = make_host()
    h.write("/etc/ecs-authd.conf.d/20-no-restart.conf", "[Restart]\nMethod=none\n")
    h.boot()
    yield h
    h.power_off()


def real_systemd(host, data):
    """The environment of a unit that has the file as its EnvironmentFile=."""
    (host.root / "root" / "env").write_bytes(data)
    output = subprocess.run(host.command("systemd-run", "--quiet", "--wait", "--pipe", "-p", "EnvironmentFile=/root/env", "env",
                                         "-0"), check=True, capture_output=True).stdout
    pairs = (variable.split("=", 1) for variable in output.decode(errors="surrogateescape").split("\0") if variable)
    return {key: value for key, value in pairs if key in NAMES}


@pytest.mark.parametrize("name", LINES)
def test_systemd(host, name):
    """The model is that of 252. A comment that ends in a backslash does not take the next line with it in 257."""
    data = LINES[name]
    if int(host.run("systemctl", "--version").split()[1]) >= 257:
        data = re.sub(rb"^[#;].*\\\n", b"", data, flags=re.M)
    expected = {key: value for key, value in readers.systemd(data).items() if key in NAMES}
    assert real_systemd(host, LINES[name]) == expected


@pytest.mark.parametrize("case", [case for case in CASES if case.kind == "docker" and not case.helpers and not case.refused],
                         ids=lambda case: case.name)
def test_what_is_written(host, case):
    """The form whose JSON could have escapes: all that is written comes through as it is."""
    for number, text in enumerate(case.files):
        (host.root / f"root/credentials{number}").write_text(text, newline="")
    options = [w for number in range(len(case.files)) for w in ("-o", f"Credentials.File=/root/credentials{number}")]
    options += [w for key, value in case.settings.items() for w in ("-o", f"{key}={value}")]
    data = subprocess.run(host.command("ecs-authd", *options, "render", "--reveal"), check=True, capture_output=True).stdout
    assert real_systemd(host, data) == readers.ecs_init(data)
