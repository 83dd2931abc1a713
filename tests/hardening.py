# SPDX-License-Identifier: Apache-2.0
"""What a program was built with, as readelf(1) and objdump(1) show it."""

import platform
import re
import subprocess


class CannotTell(Exception):
    """The program does not show it."""


def readelf(program, *options):
    return subprocess.run(["readelf", "--wide", *options, str(program)], check=True, capture_output=True, text=True).stdout


def disassembly(program):
    return subprocess.run(["objdump", "--disassemble", "--section=.text", str(program)], check=True,
                          capture_output=True, text=True).stdout


def compilers(program):
    """As they name themselves; nothing in a program that was stripped."""
    return readelf(program, "--string-dump=.comment")


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
    return disassembly(program).count("endbr64") > 300


def touches_each_page_of_the_stack(program):
    """Of what is larger than a page, about 50 times: a stack that grows past its end meets the page that guards it."""
    if "clang" in compilers(program):  # it does so with an instruction that is used for other things, too
        raise CannotTell
    return len(re.findall(r"orq? +\$0x0,(?:0x[0-9a-f]+)?\(%rsp\)", disassembly(program))) > 20


def begins_variables_with_zero(program):
    """GCC writes down in each unit of the debug information what it was told."""
    information = readelf(program, "--debug-dump=info", "--dwarf-depth=1")
    units = re.findall(r"DW_AT_producer.*: (GNU C\d+ (\d+).*)", information)
    if not units or any(int(version) < 12 for _, version in units):  # GCC 11 cannot do it
        raise CannotTell
    return all("-ftrivial-auto-var-init=zero" in told for told, _ in units)


def has_fortified_copies(program):
    """Into memory whose size is known only when the program runs, which takes _FORTIFY_SOURCE=3: with 2 no memcpy() of
    ours is checked."""
    version = re.search(r"GCC: \(.*\) (\d+)\.", compilers(program))
    if not version or int(version[1]) < 12 or "clang" in compilers(program):  # GCC 11 takes 3 for 2
        raise CannotTell
    return "__memcpy_chk" in readelf(program, "--dyn-syms")


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
    "fortified copies": has_fortified_copies,
    "variables that begin with zero": begins_variables_with_zero,
    "no library path": looks_for_no_library_of_others,
}
if platform.machine() == "x86_64":  # other processors know no such instructions
    CHECKS["marked branch targets"] = has_marked_branch_targets
    CHECKS["each page of the stack touched"] = touches_each_page_of_the_stack
