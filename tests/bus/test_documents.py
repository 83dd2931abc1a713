# SPDX-License-Identifier: Apache-2.0
"""The same verbs, options, settings, defaults and messages in the program and in all that is written about it."""

import re
import shutil
import subprocess
import sys

import pytest
from bus_host import ECS_AUTHD, TOP

sys.path.insert(0, str(TOP / "tests"))
check_includes = __import__("check-includes")

CODE = {path.name: path.read_text() for path in [*TOP.glob("common/**/*.[ch]"), *TOP.glob("daemon/**/*.[ch]")]}
CONF = (TOP / "conf/ecs-authd.conf").read_text()
MAN = (TOP / "packaging/man/ecs-authd.8.scd").read_text().replace("\\", "")
MAN_CONF = (TOP / "packaging/man/ecs-authd.conf.5.scd").read_text().replace("\\", "")
COMPLETION = (TOP / "packaging/completions/ecs-authd").read_text()
README = (TOP / "README.md").read_text()
SECURITY = (TOP / "SECURITY.md").read_text()
UNIT = (TOP / "units/ecs-authd.service.in").read_text()
CATALOG = (TOP / "units/ecs-authd.catalog").read_text()
HELP = subprocess.run([ECS_AUTHD, "--help"], check=True, text=True, capture_output=True).stdout


def settings_of_code():
    """[(section, key, default)]; of a list, as one line of words."""
    exclude = re.search(r"#define EXCLUDE_DEFAULT((?:.*\\\n)*.*)", CODE["settings.h"]).group(1)
    exclude = " ".join("".join(re.findall(r'"([^"]*)"', exclude)).split())
    table = CODE["settings.c"].split("static const Setting table[]")[1].split("};")[0]
    return [(section, key, exclude if default == "EXCLUDE_DEFAULT" else default.strip('"'))
            for section, key, default in re.findall(r'\{ "(\w+)",\s*"(\w+)",\s*("[^"]*"|\w+),', table)]


def settings_of(text, pattern):
    """The same of a text with [Section] lines; lines with one key are one."""
    found = {}
    section = None
    for line in text.splitlines():
        if re.fullmatch(r"(# )?\[(\w+)\]", line):
            section = line.strip("# []")
        elif match := re.match(pattern, line):
            found.setdefault((section, match.group(1)), []).append(match.group(2))
    return [(section, key, " ".join(values)) for (section, key), values in found.items()]


def test_settings():
    code = settings_of_code()
    assert len(code) > 15
    assert sorted(settings_of(CONF, r"#(\w+)=(.*)")) == sorted(code)
    assert sorted(settings_of(MAN_CONF, r"\*(\w+)=\*_?(.*?)_?$")) == sorted(code)
    assert sorted(re.findall(r"(\w+)\.(\w+)=", COMPLETION)) == sorted((section, key) for section, key, _ in code)


def test_verbs():
    verbs = re.findall(r'"(\w+)"', CODE["main.c"].split("verbs[] = {")[1].split("}")[0])
    assert len(verbs) > 3
    assert re.findall(r"^  (\w+)  ", HELP.split("Verbs:")[1].split("Options:")[0], re.M) == verbs
    assert re.findall(r"^\*(\w+)\*$", MAN.split("# VERBS")[1].split("\n# ")[0], re.M) == verbs
    for verb in verbs:
        assert f"*{verb}*" in MAN.split("# DESCRIPTION")[0]
        assert re.search(rf"\b{verb}\b", COMPLETION)


def test_options():
    options = re.findall(r'\{"([a-z-]+)", (?:no|required)_argument', CODE["main.c"])
    assert len(options) > 6
    for text in (HELP, MAN, COMPLETION):
        assert sorted(set(re.findall(r"--([a-z]+(?:-[a-z]+)*)", text)) & set(options)) == sorted(options)
        assert re.search(r"(?<!\w)-o\b", text)


def test_help_fits_a_screen():
    assert len(HELP.splitlines()) <= 24
    assert max(map(len, HELP.splitlines())) <= 80


def test_exit_statuses():
    in_man = set(re.findall(r"^\*(\d+)\*$", MAN.split("# EXIT STATUS")[1].split("\n# ")[0], re.M))
    in_code = {"0"} | set(re.findall(r"EXIT_STATUS_\w+ = (\d+)", CODE["manager.h"]))
    assert in_man == in_code
    for status in in_code:
        assert re.search(rf"\b{status}\b", HELP.split("Exit status:")[1])


def test_message_ids():
    """The manual has each, with the priorities that the table of reasons gives it."""
    ids = dict(re.findall(r'#define (MESSAGE_\w+) "([0-9a-f]{32})"', CODE["message-ids.h"]))
    in_manual = {found: words.split(" or ") for found, words in re.findall(r"^\*([0-9a-f]{32})\* (.*)$", MAN, re.M)}
    assert set(in_manual) == set(ids.values())
    for level, name in re.findall(r"LOG_(\w+),\s*(MESSAGE_\w+)", CODE["reason-texts.c"]):
        assert level.lower() in in_manual[ids[name]], name


def test_catalog():
    ids = dict(re.findall(r'#define (MESSAGE_\w+) "([0-9a-f]{32})"', CODE["message-ids.h"]))
    assert len(ids) > 15 and len(set(ids.values())) == len(ids)
    assert re.findall(r"^-- ([0-9a-f]{32})$", CATALOG, re.M) == list(ids.values())
    elsewhere = "\n".join(text for file, text in CODE.items() if file != "message-ids.h")
    for name in ids:
        assert re.search(rf"\b{name}\b", elsewhere), f"{name} is not used"
    # Fields that are mentioned are fields that are sent.
    fields = set(re.findall(r'\{"([A-Z_]+)", ', CODE["announcer.c"] + CODE["manager.c"]))
    assert {f.removeprefix("ECS_AUTHD_") for f in re.findall(r"@([A-Z_]+)@", CATALOG)} <= fields
    for entry in CATALOG.split("\n-- ")[1:]:
        assert "\nSubject: " in entry and "\n\n" in entry.strip()


def test_fields():
    fields = set(re.findall(r'\{"([A-Z_]+)", ', CODE["announcer.c"] + CODE["manager.c"]))
    assert set(re.findall(r"^_ECS_AUTHD_([A-Z_]+)=_", MAN, re.M)) == fields


def test_ids_of_findings():
    """In the order of the manual's list, which is that of their names."""
    code = "\n".join(path.read_text() for path in TOP.glob("daemon/check/*.c"))
    ids = set(re.findall(r'\(&?c,\s+"([a-z-]+)",', code))
    assert len(ids) > 20
    assert len(re.findall(r"[^_]say\(", code)) == len(re.findall(r'[^_]say\(&?c,\s+(?:"|id,)', code)) + 1  # the function itself
    assert re.findall(r"^\*([a-z-]+)\*$", MAN.split("# CHECK FOR SCRIPTS")[1].split("\n# ")[0], re.M) == sorted(ids)


def test_directories_that_the_unit_may_write():
    paths = re.findall(r"^ReadWritePaths=-?(.*)$", UNIT, re.M)
    assert len(paths) > 1
    for path in [*paths, *(f"/{parent}/{name}" for kind, parent in (("State", "var/lib"), ("Runtime", "run"))
                           for name in re.findall(rf"^{kind}Directory=(.*)$", UNIT, re.M))]:
        assert f"`{path}`" in SECURITY.split("# How it is built")[1]
    assert all(f"`{path}`" in README.split("# Limits")[1] for path in paths)


def test_time_limits_of_the_stop():
    """Each limit of the daemon is in the comment above that of systemd, and is shorter."""
    comment, limit = re.search(r"((?:^#.*\n)+)^TimeoutStopSec=(\d+)s$", UNIT, re.M).groups()
    limits = re.findall(r"#define STOP_\w*LIMIT_USEC \((\d+) \* USEC_PER_SEC\)", CODE["manager.c"])
    assert re.findall(r"\d+(?= s\b)", comment) == limits and len(limits) == 2
    assert all(int(own) < int(limit) for own in limits)


def test_short_lifetimes():
    """A lease is used up to two thirds of its length."""
    every = int(re.search(r"#define SHORT_LEASE_USEC \((\d+) \* MINUTE_USEC\)", CODE["gather.c"]).group(1))
    assert f"less than {every * 3 // 2} minutes" in README and f"more often than every {every} minutes" in README
    assert re.search(rf"more often\s+than every {every} minutes", MAN)


def in_words(seconds):
    return f"{seconds // 60} min" if seconds >= 60 and seconds % 60 == 0 else f"{seconds} s"


def constants(source, *names):
    return [in_words(int(re.search(rf"#define {name} \(\(?(?:int64_t\)? ?\()?(\d+) \* USEC_PER_SEC", CODE[source]).group(1))) for name in names]


def test_times_of_the_pages():
    """The numbers in README, the manual and the recipes are the defaults and limits of the code."""
    settings = {key: default for _, key, default in settings_of_code()}
    settle = settings["SettleSec"].replace("s", " s")
    assert settings["MinIntervalSec"] == "1min" and f"restarts the agent {settle} later, at most once a minute" in README
    assert f"`SettleSec={settings['SettleSec']}`" in (TOP / "packaging/recipes/jitter.md").read_text()
    manual = " ".join(MAN.split())
    assert "waits {} more".format(*constants("when-to-restart.c", "TASKS_ENDED_USEC")) in manual
    assert "a pause that grows from {} to {},".format(*constants("when-to-restart.c", "START_BACKOFF_MIN_USEC", "START_BACKOFF_MAX_USEC")) in manual
    pauses = constants("lease.c", "RETRY_MIN_USEC", "RETRY_MAX_USEC")
    assert "- {} to {} after it has failed".format(*pauses) in manual
    assert "with pauses that grow from {} to {}.".format(*pauses) in manual
    assert "after that at most every {})".format(*constants("gather.c", "LOGIN_USEC")) in manual


def test_manual_pages_are_well_formed(tmp_path):
    scdoc = subprocess.run(["sh", "-c", "command -v scdoc"], check=False, capture_output=True).returncode == 0
    if not scdoc:
        pytest.skip("no scdoc")
    for page in TOP.glob("packaging/man/*.scd"):
        assert subprocess.run(["scdoc"], stdin=page.open(), check=True, capture_output=True).stdout


def complete(line):
    """What bash offers behind that line, of which readline makes words as COMP_WORDBREAKS has it."""
    words = re.sub("=", " = ", line).split(" ")
    words = [word for word in words[:-1] if word] + words[-1:]
    if line.endswith("="):
        words.pop()  # it is the word that is to be completed
    script = (f"source {TOP}/packaging/completions/ecs-authd; compopt() {{ :; }}; COMP_WORDS=(\"$@\"); "
              f"COMP_CWORD={len(words) - 1}; _ecs_authd; printf '%s\\n' \"${{COMPREPLY[@]}}\"")
    return subprocess.run(["bash", "-c", script, "bash", *words], check=True, text=True, capture_output=True).stdout.split()


def test_completion():
    assert complete("ecs-authd re") == ["render"]
    assert complete("ecs-authd render --r") == ["--reveal"]
    assert complete("ecs-authd status --r") == []
    assert complete("ecs-authd apply --d") == ["--dry-run"]
    assert complete("ecs-authd -o Restart.U") == ["Restart.Unit=", "Restart.UnsavedState="]
    assert complete("ecs-authd -o Restart.Method=systemd apply --no") == ["--no-restart"]


def test_completion_offers_one_verb():
    verbs = {"run", "apply", "render", "status", "check"}
    assert verbs < set(complete("ecs-authd "))
    assert verbs < set(complete("ecs-authd -o Restart.Method=none "))
    assert verbs < set(complete("ecs-authd --config run "))  # a file of that name
    for verb in verbs:
        assert not verbs & set(complete(f"ecs-authd {verb} "))


def test_completion_offers_the_options_of_the_help():
    offered = {word for verb in ("", "run ", "apply ", "render ", "status ", "check ") for word in complete(f"ecs-authd {verb}-")}
    assert set(re.findall(r"(?<![\w-])--?[a-zA-Z][a-z-]*", HELP.split("Options:")[1])) <= offered


def values_of_code():
    """{Section.Key: [VALUE] or "a path"} of the settings that have only so many, by what reads them."""
    def words(function):
        body = CODE["settings.c"].split(f" *{function}(")[1].split("\n}")[0]
        return re.split(", | or ", re.search(r'(?:return|\?) "([^"]*)"', body).group(1))

    found = {}
    for section, key, function in re.findall(r'\{ "(\w+)",\s*"(\w+)",\s*(?:"[^"]*"|\w+),\s*(\w+),', CODE["settings.c"]):
        if "path" in function:
            found[f"{section}.{key}"] = "a path"
        elif function in ("parse_boolean", "parse_auth_type", "parse_method", "parse_unsaved_state"):
            found[f"{section}.{key}"] = words(function)
    return found


def test_completion_of_values(tmp_path):
    (tmp_path / "one.conf").touch()
    (tmp_path / "two").mkdir()
    paths = [f"{tmp_path}/one.conf", f"{tmp_path}/two"]
    values = values_of_code()
    assert len(values) > 7 and values["Restart.UnsavedState"] == ["wait", "force", "never"]
    for setting, expected in values.items():
        if expected == "a path":
            assert sorted(complete(f"ecs-authd -o {setting}={tmp_path}/")) == paths
        else:
            assert complete(f"ecs-authd -o {setting}=") == expected
            assert complete(f"ecs-authd check -o {setting}={expected[1]}") == [w for w in expected if w.startswith(expected[1])]
    assert complete("ecs-authd -o Restart.SettleSec=") == []
    for option in ("--config ", "--config="):
        assert sorted(complete(f"ecs-authd {option}{tmp_path}/")) == paths
        assert complete(f"ecs-authd {option}{tmp_path}/o") == paths[:1]


def test_contributing_shows_the_rooms():
    assert check_includes.ROOMS in (TOP / "CONTRIBUTING.md").read_text()


@pytest.mark.parametrize("path,include", [
    ("common/credentials/gather.c", "ecsconfig/sync.h"),  # up
    ("common/credentials/gather.c", "settings/settings.h"),
    ("daemon/report/metrics.c", "service/service.h"),  # sideways
    ("daemon/watch/watch-files.c", "manager/manager.h"),
    ("common/base/macro.h", "base/json.h"),  # in a circle, within a room
    ("common/base/json.c", "base/nowhere.h"),
])
def test_an_include_that_goes_up_is_found(tmp_path, path, include):
    for folder in ("common", "daemon"):
        shutil.copytree(TOP / folder, tmp_path / folder)
    assert check_includes.check(tmp_path) == []
    (tmp_path / path).write_text(f'#include "{include}"\n' + (tmp_path / path).read_text())
    found = check_includes.check(tmp_path)
    assert found and all(line.startswith(path) or "includes itself" in line for line in found)


def checked_fixes(directory, source, rows):
    """What tests/check-fixes.py says of a source with these rows."""
    path = directory / "common" / "room" / "file.c"
    path.parent.mkdir(parents=True)
    path.write_text(source)
    (directory / "units").mkdir()
    (directory / "units/ecs-authd.catalog").write_text("")
    (directory / "test.py").write_text("def test_it():\n    pass\n")
    code = ("import importlib, pathlib; found = importlib.import_module('check-fixes').check(pathlib.Path(sys.argv[1]), "
            "{'common/room/file.c': eval(sys.argv[2])}); print('\\n'.join(found))")
    return subprocess.run([sys.executable, "-B", "-c", "import sys; " + code, directory, repr(rows)], check=True, capture_output=True,
                          text=True, env={"PYTHONPATH": str(TOP / "tests")}).stdout


@pytest.mark.parametrize("source, rows, said", [
    ('f("%s: is open; run \'chmod " /* of it */ "600 %s\'");', [("is open", "chmod", "test.py::test_it")], ""),
    ('f("%s: is open; run \'chmod 600 %s\'");', [], "has no row"),
    ('say(c, "id", p, OK, "that is bad", cure ? "systemctl daemon-reload" : NULL);', [], "has no row"),
    ('f("all is well, and nothing needs to be done");', [("all is well", None, "test.py::test_it")], "no messages have the words"),
    ('f("%s: is open; run \'chmod 600 %s\'");', [("is open", "chmod", "test.py::test_another")], "there is no test.py::test_another"),
], ids=["a row", "no row", "a finding without a row", "a row without a message", "a row without a test"])
def test_a_message_that_names_a_fix_has_a_row(tmp_path, source, rows, said):
    found = checked_fixes(tmp_path, source, rows)
    assert said in found and (said or not found.strip()), found
