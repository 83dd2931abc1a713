# SPDX-License-Identifier: Apache-2.0
"""What becomes of ecs.config: how ecs-init reads the file, and what credentials the agent takes from the result."""

import base64
import json
import re


def read_environment(path):
    """The file as ecs-init reads it: trimmed lines, split at the first "="; no quotes, no escapes, no comments; the
    last of a repeated key counts."""
    environment = {}
    text = path.read_text() if path.is_file() else ""
    for line in text.strip().split("\n"):
        key, equals, value = line.strip().partition("=")
        if equals:
            environment[key] = value
    return environment


def credentials(environment):
    """{registry: (user, password)}, as the agent takes them from its environment; None: it drops them all."""
    kind, data = environment.get("ECS_ENGINE_AUTH_TYPE", ""), environment.get("ECS_ENGINE_AUTH_DATA", "")
    if not kind and not data:
        return {}
    try:
        entries = {re.sub("^https?://", "", key): entry for key, entry in json.loads(data).items()}
        if kind == "dockercfg":
            return {key: tuple(base64.b64decode(entry["auth"], validate=True).decode().split(":", 1))
                    for key, entry in entries.items()}
        if kind == "docker":
            return {key: (entry["username"], entry["password"]) for key, entry in entries.items()}
    except (ValueError, KeyError, TypeError, AttributeError):
        pass
    return None
