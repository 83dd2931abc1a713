# SPDX-License-Identifier: Apache-2.0
"""ecs-authd states which images each key covers: compared with the agent's lookup over a set of images."""

import json
import random
import re

import pytest

import agent_lookup
import readers
from cases import HUB, PW, R, Auth, Case, cli, entry
from test_conformance import TOP, Place

MANUAL = TOP / "packaging/man/ecs-authd.8.scd"

PATTERNS = {"nothing": "no image", "path": "only images whose names begin with ", "host-as-only-key": "all images of .*, because ",
            "chance": "by chance any image ", "path-or-chance": "images whose names begin with .*, and by chance others "}

# The exact host, and keys with a path, of equal and of different lengths; Docker Hub; keys that no image can use.
KEYS = [R, f"{R}/team", f"{R}/team/app", f"{R}/rest", f"{R}/Team", f"{R}/t", f"https://{R}/v2/deep/path", "other.example/x",
        "other.example:5000/x", "localhost", "localhost:5000/x", "[2001:db8::1]:5000", "myserver", "myserver/team", "myserver:5000",
        "*.example.com", "a_b.example", "r.example.", HUB, "docker.io", "docker.io/myorg", "registry-1.docker.io/myorg",
        f"{HUB}user", "registry.hub.docker.com", "docker.io:443/x"]


HOST = r"(([a-z0-9]|[a-z0-9][a-z0-9-]*[a-z0-9])(\.([a-z0-9]|[a-z0-9][a-z0-9-]*[a-z0-9]))*|\[[0-9a-f:]+\])(:\d+)?"


def images_of(keys):
    """Valid names below, beside and above each key, and with the keys as an organisation of Docker Hub."""
    names = {"nginx", "myorg/app", "user/app", "docker.io/myorg/app", "myserver/app", "myserver/team/app"}
    for key in keys:
        name = key.removeprefix("https://").lower().replace("*", "any")
        host, _, path = name.partition("/")
        names |= {f"{host}/zzz", f"{host}/{path or 'app'}", f"{host}/{path or 'app'}-x/app:1", f"{host}/{path or 'app'}/a/b"}
    return set(filter(is_valid, names))


def is_valid(name):
    """Docker accepts the name. "a_b.example/x" parses, but without a host: the engine refuses to pull it (measured)."""
    first, slash, path = name.partition("/")
    if not slash or agent_lookup.index_name(name) == "docker.io" and first != "docker.io":
        first, path = "docker.io", name
    return re.fullmatch(HOST, first) and re.fullmatch(r"[a-z0-9]+((\.|_|__|-+|/)[a-z0-9]+)*(:\w+)?", path)


def written_name(key):
    """As registry_normalize() writes it."""
    name = key.removeprefix("https://")
    if name in (HUB.removeprefix("https://"), "docker.io"):
        return HUB
    return name


def statements(place):
    """{key as it is written: its word}, and what was printed on the way."""
    said = place.run("apply", "--no-restart").stderr.decode()
    findings = json.loads(place.run("check", "--json").stdout)["findings"]
    found = {f["subject"]: "host" for f in findings if f["id"] == "registry"}
    for finding in findings:
        if finding["id"] == "registry-images":
            text = finding["text"].removeprefix(f"{finding['subject']}: used for ")
            found[finding["subject"]] = next(word for word, pattern in PATTERNS.items() if re.match(pattern, text))
    return found, said


def check(key, word, keys, images):
    """word: the statement about the key; keys: all that are written."""
    key = key.removeprefix("https://")
    hosts = agent_lookup.HUB_HOSTS if key == agent_lookup.DOCKER_HUB else [key.split("/")[0]]
    used = 0
    for image in sorted(images):
        found = agent_lookup.matches(dict.fromkeys(keys), image)
        longer = any(len(other) > len(key) and image.startswith(other) for other in keys)
        if word == "nothing" or agent_lookup.index_name(image) not in hosts:
            expected = key not in found
        elif longer:
            continue
        elif word == "path" and not image.startswith(key):
            expected = key not in found
        elif word == "chance" or (word == "path-or-chance" and not image.startswith(key)):
            expected = key in found and len(found) > 1
        else:
            expected = found == {key}
        used += key in found
        assert expected, f"{key} ({word}) among {keys}: {image} is pulled with {found}"
    assert (used > 0) == (word != "nothing"), f"{key} ({word}) among {keys}"


def sets():
    chosen = random.Random(20)
    yield from ([key] for key in KEYS)
    yield [R, f"{R}/team", f"{R}/team/app", f"{R}/rest"]
    yield [f"{R}/team", f"{R}/team/app"]
    yield [f"{R}/team", f"{R}/rest"]
    yield from (chosen.sample(KEYS[:8], chosen.randint(2, 4)) for _ in range(20))
    yield from (chosen.sample(KEYS, chosen.randint(2, 6)) for _ in range(10))


@pytest.mark.parametrize("keys", sets(), ids=" ".join)
def test_statements(tmp_path, keys):
    place = Place(tmp_path, Case("", [cli({key: entry() for key in keys})], settings={"Credentials.Exclude": ""}))
    found, said = statements(place)
    useless = [key for key in keys if f"no image can use the login '{key}'" in said]
    written = agent_lookup.parse("dockercfg", readers.ecs_init(place.environment_file.read_bytes()).get(
        "ECS_ENGINE_AUTH_DATA", "{}"))
    images = images_of(keys)

    assert {key.removeprefix("https://") for key in found} == set(written), said
    assert {written_name(key) for key in keys if key not in useless} == set(found)
    for key, word in found.items():
        check(key, word, set(written), images)
    for key in useless:
        name = written_name(key)
        check(name, "nothing", set(written) | {name}, images)


def rows_of_the_manual():
    section = MANUAL.read_text().split("# WHICH IMAGES DOES A KEY COVER\n")[1].split("\n# ")[0]
    for line in section.split("```\n")[1].splitlines()[1:]:
        logins, image, used = re.split(r" {2,}", line)
        yield logins.split(), image, used


@pytest.mark.parametrize("keys, image, used", rows_of_the_manual(), ids=str)
def test_the_manual(tmp_path, keys, image, used):
    place = Place(tmp_path, Case("", [cli({key: entry(Auth("user", key)) for key in keys})]))
    place.run("apply", "--no-restart")
    found = readers.ecs_init(place.environment_file.read_bytes())
    entries = agent_lookup.parse(found.get("ECS_ENGINE_AUTH_TYPE"), found.get("ECS_ENGINE_AUTH_DATA", "{}"))
    if used == "chance":
        assert len(agent_lookup.matches(entries, image)) == 2
        return
    auth = agent_lookup.lookup(entries, image)
    assert (auth.password.rstrip("/") if auth else "none") == used


def test_the_manual_has_enough_rows():
    assert len(list(rows_of_the_manual())) > 20


def test_the_journal_names_the_images(tmp_path):
    """With the line that reports the write; and the dry run."""
    place = Place(tmp_path, Case("", [cli({R: entry(), f"{R}/team": entry()})]))
    sentence = f"{R}/team: {{}}only images whose names begin with {R}/team, even {R}/team-x"
    assert sentence.format("would be used for ") in place.run("apply", "--dry-run", "--no-restart").stdout.decode()
    assert sentence.format("") in place.run("apply", "--no-restart").stderr.decode()
    # A pass that writes nothing repeats nothing.
    assert "only images" not in place.run("apply", "--no-restart").stderr.decode()


def test_useless_key_costs_no_restart(tmp_path):
    """The written line is the same with and without such a key."""
    place = Place(tmp_path, Case("", [cli({R: entry()})]))
    place.run("apply", "--no-restart")
    before = place.environment_file.read_bytes()
    place.files[0].write_text(cli({R: entry(), "docker.io/myorg": entry(PW), "*.example.com": entry()}))
    result = place.run("apply", "--no-restart")
    assert result.returncode == 1 and "Wrote" not in result.stderr.decode()
    assert place.environment_file.read_bytes() == before
