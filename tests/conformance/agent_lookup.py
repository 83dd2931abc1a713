# SPDX-License-Identifier: Apache-2.0
"""What the ECS agent makes of the two variables: amazon-ecs-agent, agent/dockerclient/dockerauth/dockerauth.go, with Go's
encoding/json. Where the real one would leave it to chance (the order of a Go map), this one refuses to answer."""

import base64
import binascii
import json
from typing import NamedTuple

DOCKER_HUB = "index.docker.io/v1/"
HUB_HOSTS = ("docker.io", "index.docker.io", "registry-1.docker.io")


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


def index_name(image):
    """ParseRepositoryTag() and splitReposName(): the part of the name that decides where it is looked up."""
    repository, colon, tag = image.rpartition(":")
    if not colon or "/" in tag:
        repository = image
    first, slash, _ = repository.partition("/")
    return first if slash and (set(".:") & set(first) or first == "localhost") else "docker.io"


def choose_key(keys, image, order):
    """GetAuthconfig() with the map in this order."""
    host = index_name(image)
    longest = host if host in keys else ""
    for key in order:
        if key.split("/", 1)[0] == host and (not longest or (len(key) > len(longest) and image.startswith(key))):
            longest = key
    return longest


def matches(entries, image):
    """The keys that the agent may use for the image, one for each order of its map, as a set."""
    if index_name(image) in HUB_HOSTS:
        return {DOCKER_HUB} & set(entries)
    below = sorted((key for key in entries if key.split("/", 1)[0] == index_name(image)), key=len)
    # The order of the others makes no difference: a longer one replaces a shorter one either way (test_agent_lookup.py).
    return {choose_key(entries, image, [first, *below]) for first in below}


def lookup(entries, image):
    """What the agent pulls the image with; None: nothing."""
    keys = matches(entries, image)
    if len(keys) > 1:
        raise Chance(f"any of {keys}")
    return entries[keys.pop()] if keys else None
