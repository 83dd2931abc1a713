# SPDX-License-Identifier: Apache-2.0
"""What a program was built with, as readelf(1) and objdump(1) show it."""

import platform
import re
import subprocess


def readelf(program, *options):
    return subprocess.run(["readelf", "--wide", *options, str(program)], check=True, capture_output=True, text=True).stdout


def is_position_independent(program):
    return re.search(r"Type: +DYN", readelf(program, "--file-header"))


def is_read_only_after_the_start(program):
    headers = readelf(program, "--program-headers", "--dynamic")
    return "GNU_RELRO" in headers and re.search("BIND_NOW|FLAGS_1.*NOW", headers)


def has_no_executable_stack(program):
    return re.search(r"GNU_STACK .* RW +0x", readelf(program, "--program-headers"))


def has_no_writable_code(program):
    return not re.search(r"LOAD .* RWE +0x", readelf(program, "--program-headers"))


def has_stack_protector(program):
    return "__stack_chk_fail" in readelf(program, "--dyn-syms")


def has_fortified_calls(program):
    return "__snprintf_chk" in readelf(program, "--dyn-syms")


def has_marked_branch_targets(program):
    """Of functions that are reached by a pointer, about 400."""
    code = subprocess.run(["objdump", "--disassemble", "--section=.text", str(program)], check=True, capture_output=True,
                          text=True).stdout
    return code.count("endbr64") > 300


def looks_for_no_library_of_others(program):
    """No directory of the builder's is searched."""
    return not re.search("RPATH|RUNPATH", readelf(program, "--dynamic"))


CHECKS = {
    "position independent": is_position_independent,
    "read-only after the start": is_read_only_after_the_start,
    "no executable stack": has_no_executable_stack,
    "no writable code": has_no_writable_code,
    "stack protector": has_stack_protector,
    "fortified calls": has_fortified_calls,
    "no library path": looks_for_no_library_of_others,
}
if platform.machine() == "x86_64":  # other processors know no such instruction
    CHECKS["marked branch targets"] = has_marked_branch_targets
