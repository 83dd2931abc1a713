# SPDX-License-Identifier: Apache-2.0
"""ecs-authd check --json, and what check finds left behind on a host: each with its id."""

import json
import os
import re
import subprocess
import sys

import dbus
import pytest
from bus_host import REGISTRY, TOP
from standin.credential_file import encode

needs_root = pytest.mark.skipif(os.geteuid() != 0, reason="only root can mount")

# What a person logs in with, who forgot sudo.
LOGIN = json.dumps({"auths": {"mine.example": {"auth": encode("alice", "pw")}}})


def parse(result):
    """The findings of one run; what stands around them is right."""
    assert not result.stderr, result.stderr
    answer = json.loads(result.stdout)
    assert list(answer) == ["schema", "ecs_authd", "counts", "findings"] and answer["schema"] == 1, answer
    findings = answer["findings"]
    for finding in findings:
        assert list(finding) == ["id", "verdict", "subject", "text", "cure"], finding
        assert re.fullmatch(r"[a-z]+(-[a-z]+)*", finding["id"]) and finding["text"]
    counts = {verdict: sum(f["verdict"] == verdict for f in findings) for verdict in ("ok", "warning", "problem")}
    assert answer["counts"] == counts and sum(counts.values()) == len(findings)
    assert result.returncode == (1 if counts["problem"] else 0)
    return findings


def find(host, *more, **settings):
    return parse(host.run_verb("check", "--json", *more, **settings))


def bad(findings):
    """{id: finding} of what is not ok."""
    return {f["id"]: f for f in findings if f["verdict"] != "ok"}


# --- the form ---

def test_a_sound_host(sound):
    findings = find(sound)
    assert not bad(findings)
    assert {"credential-file", "registry", "environment-file-credentials", "docker-engine", "agent-credentials", "agent-answers",
            "agent-keeps-state", "agent-unit", "service"} <= {f["id"] for f in findings}
    assert {"id": "registry", "verdict": "ok", "subject": REGISTRY, "cure": None,
            "text": f"{REGISTRY}: credentials from {sound.credentials.path}"} in findings
    assert sound.expected[REGISTRY][1] not in json.dumps(findings)


def test_the_same_as_for_people(sound):
    sound.environment_file.chmod(0o644)
    sound.systemd1.set_unit(LoadState="masked")
    findings = find(sound)
    found = bad(findings)
    assert found["environment-file-mode"] == {
        "id": "environment-file-mode", "verdict": "warning", "subject": str(sound.environment_file),
        "text": f"{sound.environment_file} can be read by others than its owner (mode 0644)",
        "cure": f"chmod 600 {sound.environment_file}"}
    assert found["agent-unit"]["verdict"] == "problem" and found["agent-unit"]["cure"] == "systemctl unmask ecs.service"
    lines = sound.run_verb("check").stdout
    assert re.findall(r"^(ok|warning|problem) +(.*)$", lines, re.M) == [(f["verdict"], f["text"]) for f in findings]


def test_text_from_elsewhere_is_json(sound):
    sound.credentials.replace('{"auths": {"a\\u0007\\"b.example": {"auth": "%%%"}}}')
    assert "a?\"b.example" in bad(find(sound))["credentials"]["text"]


def test_bad_settings_leave_stdout_empty(sound):
    result = sound.run_verb("check", "--json", Restart_Method="nonsense")
    assert result.returncode == 78 and not result.stdout and "nonsense" in result.stderr


def test_json_belongs_to_two_verbs(sound):
    result = sound.run_verb("apply", "--json")
    assert result.returncode == 2 and "--json belongs to status and check" in result.stderr


def test_a_full_disk_is_a_failure(sound):
    with open("/dev/full", "w", encoding="utf-8") as full:
        assert subprocess.run(sound.arguments("check", "--json"), env=sound.environment(), check=False, stdout=full).returncode == 1
