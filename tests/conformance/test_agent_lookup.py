# SPDX-License-Identifier: Apache-2.0
"""The agent's lookup as dockerauth.go does it, with its map in every order."""

import itertools
import random

import pytest

import agent_lookup

KEYS = ["r.example", "r.example/", "r.example/a", "r.example/b", "r.example/aa", "r.example/a/b", "r.example/long", "s.example",
        "index.docker.io/v1/", "docker.io", "docker.io/a", "localhost", "myserver"]
IMAGES = ["r.example/a", "r.example/a/b/c", "r.example/aa/x:1", "r.example/b", "r.example/x", "s.example/a", "a/b", "a",
          "docker.io/a/b", "localhost/a", "myserver/a", "r.example:1/a"]


def get_auth_config(keys, image):
    """GetAuthconfig(), line by line, with the map in this order; None: no entry."""
    host = agent_lookup.index_name(image)
    if host in agent_lookup.HUB_HOSTS:
        return agent_lookup.DOCKER_HUB if agent_lookup.DOCKER_HUB in keys else None
    longest = ""
    if host in keys and len(host) > len(longest):
        longest = host
    for registry in keys:
        if registry.split("/", 1)[0] == host:
            if not longest:
                longest = registry
            elif len(registry) > len(longest) and image.startswith(registry):
                longest = registry
    return longest or None


def test_every_order():
    chosen = random.Random(1)
    for _ in range(300):
        keys = chosen.sample(KEYS, chosen.randint(1, 5))
        for image in IMAGES:
            found = {get_auth_config(order, image) for order in itertools.permutations(keys)} - {None}
            assert agent_lookup.matches(dict.fromkeys(keys), image) == found, f"{keys} {image}"


@pytest.mark.parametrize("image, name", [
    ("nginx", "docker.io"), ("nginx:1", "docker.io"), ("org/app", "docker.io"), ("docker.io/org/app", "docker.io"),
    ("myserver/app", "docker.io"), ("myserver:5000/app", "myserver:5000"), ("localhost/app", "localhost"),
    ("r.example/app@sha256:00", "r.example"), ("r.example:1/app:2", "r.example:1"), ("r.example", "docker.io"),
    ("[::1]:5000/app", "[::1]:5000")])
def test_index_name(image, name):
    assert agent_lookup.index_name(image) == name
