# SPDX-License-Identifier: Apache-2.0
"""What the ECS agent makes of the two variables: amazon-ecs-agent, agent/dockerclient/dockerauth/dockerauth.go, with Go's
encoding/json. Where the real one would leave it to chance (the order of a Go map), this one refuses to answer."""

import base64
import binascii
import json
from typing import NamedTuple

DOCKER_HUB = "index.docker.io/v1/"


class Auth(NamedTuple):
    username: str = ""
    password: str = ""
    token: str = ""


class Chance(Exception):
    """Two runs of the agent would differ."""


def unique(pairs):
    names = [name for name, _ in pairs]
    if len(set(names)) != len(names):
        raise Chance(f"a name stands twice: {names}")
    return dict(pairs)


def parse(kind, data):
    """{key: Auth}; {} where the agent drops everything."""
    try:
        entries = json.loads(data, object_pairs_hook=unique)
    except json.JSONDecodeError:
        return {}
    if not isinstance(entries, dict) or not all(isinstance(e, dict) for e in entries.values()):
        return {}
    if kind == "dockercfg":
        found = {key: decode(entry.get("auth", "")) for key, entry in entries.items()}
    elif kind == "docker":
        found = {key: Auth(e.get("username", ""), e.get("password", ""), e.get("identitytoken", ""))
                 for key, e in entries.items()}
    else:
        return {}
    return strip({key: auth for key, auth in found.items() if auth})


def decode(auth):
    """Standard alphabet, with padding; what does not decode, or has no colon, is dropped alone."""
    try:
        user, colon, password = base64.b64decode(auth, validate=True).decode().partition(":")
    except (binascii.Error, UnicodeDecodeError):
        return None
    return Auth(user, password.rstrip("\0")) if colon else None


def strip(entries):
    found = {}
    for key, auth in entries.items():
        short = key.removeprefix("http://").removeprefix("https://")
        if short in found:
            raise Chance(f"{short} stands there twice")
        found[short] = auth
    return found


def lookup(entries, image):
    """What the agent pulls the image with; None: nothing."""
    first, slash, _ = image.partition("/")
    if not slash or not (set(".:") & set(first) or first == "localhost"):
        return entries.get(DOCKER_HUB)

    found = entries.get(first)
    below = [key for key in entries if key != first and key.split("/")[0] == first]
    fitting = [key for key in below if image.startswith(key)]
    if fitting:
        return entries[max(fitting, key=len)]
    if found is None and len(below) > 1:
        raise Chance(f"any of {below}")
    return found if found is not None else entries[below[0]] if below else None
