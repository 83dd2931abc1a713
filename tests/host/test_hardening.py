# SPDX-License-Identifier: Apache-2.0
"""What the program that is installed was built with."""

import platform
import re
import subprocess

import pytest
from host_parts import ECS_AUTHD


def readelf(*options):
    return subprocess.run(["readelf", "--wide", *options, str(ECS_AUTHD)], check=True, capture_output=True, text=True).stdout


def test_position_independent():
    assert re.search(r"Type: +DYN", readelf("--file-header"))


def test_nothing_stays_writable_or_executable():
    headers = readelf("--program-headers", "--dynamic")
    assert "GNU_RELRO" in headers and re.search("BIND_NOW|FLAGS_1.*NOW", headers)
    assert re.search(r"GNU_STACK .* RW +0x", headers)


def test_checked_at_run_time():
    symbols = readelf("--dyn-syms")
    assert "__stack_chk_fail" in symbols and "__snprintf_chk" in symbols


@pytest.mark.skipif(platform.machine() != "x86_64", reason="the processor knows no such instruction")
def test_indirect_branches():
    code = subprocess.run(["objdump", "--disassemble", "--section=.text", str(ECS_AUTHD)], check=True, capture_output=True,
                          text=True).stdout
    assert code.count("endbr64") > 300  # of functions that are reached by a pointer, about 400
