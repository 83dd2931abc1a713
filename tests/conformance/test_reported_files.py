# SPDX-License-Identifier: Apache-2.0
"""Credential files from public reports that version 0.2.0 handled wrongly, on a host that has another login already. Beside these,
cases.py has unmatchable-keys and gcr-beside-acr, test_foreign_entries.py takeover, and the host level other login places."""

import json
import os
from dataclasses import dataclass, field
from pathlib import Path

import pytest

import agent_lookup
import readers
from cases import HUB, INPUTS, OTHER, PW, Auth, Case
from test_conformance import Place

GOOD = json.dumps({"auths": {"good.example": {"auth": "cHVsbGVyOnMzY3IzdA=="}}})


@dataclass
class Report:
    says: str  # a part of what is printed; "": nothing
    written: dict = field(default_factory=dict)  # registry as it is written: Auth; empty: the file changes nothing
    problem: bool = False
    helper: str = ""


REPORTS = {
    "auths-twice/config.json": Report('"auths" occurs a second time', problem=True),
    "broken-twin/config.json": Report("the entry r.example.com of", {"r.example.com": PW}),
    "credStore-typo/config.json": Report('the member "credStore" is not known to Docker; "credsStore" is', problem=True),
    "helper-empty/config.json": Report("", {"r.example.com": OTHER}, helper="stand-in"),
    "hub-oauth/config.json": Report("", {HUB: PW}),
    "hub-oauth/config-store.json": Report("", {HUB: Auth("u", "sss")}, helper="pass"),
    "not-a-credential-file/secret.json": Report(".dockerconfigjson in a Secret, decoded from base64, is one", problem=True),
    "not-a-credential-file/flat-plus-headers.json": Report("'HttpHeaders' is not an entry", problem=True),
    "not-a-credential-file/flat-plus-string.json": Report("'detachKeys' is not an entry", problem=True),
    "two-spellings/config.json": Report("Remove the entry of https://r.example.com in an editor", {"r.example.com": OTHER}),
}


@pytest.mark.parametrize("name", REPORTS)
def test_report(tmp_path, name):
    report = REPORTS[name]
    if report.helper and os.geteuid() != 0:
        pytest.skip("a helper of ours can be put in its place by root only")
    script = Path(INPUTS / "helper-empty/docker-credential-stand-in").read_text()
    place = Place(tmp_path, Case("", [GOOD], helpers={report.helper: script} if report.helper else {}))
    assert place.run("apply", "--no-restart").returncode == 0
    before = place.environment_file.read_bytes()

    place.files[0].write_text((INPUTS / name).read_text())
    for _ in range(2):
        result = place.run("apply", "--no-restart")
        said = result.stderr.decode()
        assert result.returncode == int(report.problem) and report.says in said, said
    data = place.environment_file.read_bytes()
    if not report.written:
        assert data == before
        return
    found = readers.ecs_init(data)
    entries = agent_lookup.parse(found["ECS_ENGINE_AUTH_TYPE"], found["ECS_ENGINE_AUTH_DATA"])
    assert entries == {key.removeprefix("https://"): auth for key, auth in report.written.items()}


def test_manifest_with_an_empty_list(tmp_path):
    """A Kubernetes Secret with an "auths" of its own is no logout either."""
    place = Place(tmp_path, Case("", [GOOD]))
    assert place.run("apply", "--no-restart").returncode == 0
    before = place.environment_file.read_bytes()
    place.files[0].write_text('{"auths": {}, "apiVersion": "v1", "kind": "Secret", "data": {}}')
    result = place.run("apply", "--no-restart")
    assert result.returncode == 1 and b"a Kubernetes Secret" in result.stderr
    assert place.environment_file.read_bytes() == before
