# SPDX-License-Identifier: Apache-2.0
"""What the program that is installed was built with."""

import pytest
from hardening import CHECKS
from host_parts import ECS_AUTHD


@pytest.mark.parametrize("check", CHECKS.values(), ids=CHECKS)
def test_built_with(check):
    assert check(ECS_AUTHD)
