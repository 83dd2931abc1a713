# SPDX-License-Identifier: Apache-2.0
"""The recipes of packaging/recipes: each script through the protocol of credential helpers and through ecs-authd itself,
with stand-ins for what it asks, and each page with the files and commands that it names."""

import base64
import json
import os
import re
import shlex
import shutil
import subprocess
import sys
import time
from pathlib import Path

import pytest

TOP = Path(__file__).resolve().parent.parent.parent
sys.path.insert(0, str(TOP / "tests"))

from standin.promtool import find_promtool  # noqa: E402

RECIPES = TOP / "packaging" / "recipes"
ECS_AUTHD = Path(os.environ.get("ECS_AUTHD", TOP / "build" / "ecs-authd")).resolve()
HELPER_PATH = "/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin"  # as ecs-authd(8) has it

NOT_FOUND = "credentials not found in native keychain\n"
USER = "robot"
SECRET = "hunter2 \"of\" the\\house: $HOME `id` %s é"  # whatever a shell, JSON or printf could trip over
TOKEN = "hvs.TokenOfTheVault_1-2"
APP_TOKEN = "ghs_16C7e42F292c6912E7710c838347Ae178B4a"

# Writes down how it was called, then says what it was told to say. It has a path of its own in place of an environment
# variable: the recipes hand on only what HelperEnvironment= names.
STAND_IN = """#!/bin/sh
d={directory}
for a; do printf '%s\\n' "$a"; done > "$d/arguments"
env > "$d/environment"
case " $* " in *" --config - "*) cat > "$d/input" ;; esac
cat "$d/stderr" >&2
cat "$d/stdout"
exit "$(cat "$d/status")"
"""


class StandIn:
    """A program in a directory of its own."""

    def __init__(self, directory):
        self.directory = directory
        directory.mkdir()
        self.path = directory / "program"
        self.path.write_text(STAND_IN.format(directory=shlex.quote(str(directory))))
        self.path.chmod(0o755)
        self.says("")

    def says(self, stdout, stderr="", status=0):
        for name, text in (("stdout", stdout), ("stderr", stderr), ("status", str(status)), ("input", "")):
            (self.directory / name).write_text(text)
        (self.directory / "arguments").unlink(missing_ok=True)

    def heard(self, what):
        return (self.directory / what).read_text()

    @property
    def was_called(self):
        return (self.directory / "arguments").exists()


class Recipe:
    """One of the scripts, with a stand-in for what it asks, and the words of its HelperEnvironment=."""

    def __init__(self, helper, directory, variable, **variables):
        self.helper = helper
        self.directory = directory
        self.program = StandIn(directory / f"standin-{variable}")
        self.variables = {**variables, variable: str(self.program.path)} if variable else variables
        self.secrets = [SECRET]

    def run(self, verb="get", registry="registry.example", path=HELPER_PATH, **variables):
        """As ecs-authd and Docker call it; no secret ever stands on its standard error or with the stand-in."""
        environment = {"PATH": path, "HOME": str(self.directory), **self.variables, **variables}
        result = subprocess.run([str(RECIPES / f"docker-credential-{self.helper}"), *([verb] if verb else [])],
                                input=registry, check=False, capture_output=True, text=True, timeout=30,
                                env={k: v for k, v in environment.items() if v is not None})
        self.check_secrets(result.stderr)
        if result.returncode != 0:
            self.check_secrets(result.stdout)
        return result

    def check_secrets(self, text):
        if self.program.was_called:
            text += self.program.heard("arguments") + self.program.heard("environment")
        for secret in self.secrets:
            assert secret not in text
            assert json.dumps(secret)[1:-1] not in text

    def check_answer(self, user=USER, secret=SECRET, registry="registry.example", **more):
        result = self.run(registry=registry, **more)
        assert (result.returncode, result.stderr) == (0, "")
        assert json.loads(result.stdout) == {"ServerURL": registry.strip(), "Username": user, "Secret": secret}

    def check_not_found(self, **more):
        result = self.run(**more)
        assert (result.returncode, result.stdout) == (1, NOT_FOUND)

    def check_failure(self, text, **more):
        result = self.run(**more)
        assert result.returncode == 1
        assert text in result.stdout
        assert result.stderr == result.stdout
        assert result.stdout.count("\n") == 1
        assert NOT_FOUND.strip() not in result.stdout


@pytest.fixture(name="aws")
def make_aws(tmp_path):
    return Recipe("aws-secrets", tmp_path, "AWS_CLI", AWS_DEFAULT_REGION="eu-west-1")


@pytest.fixture(name="vault")
def make_vault(tmp_path):
    (tmp_path / "token").write_text(TOKEN + "\n")
    recipe = Recipe("vault", tmp_path, "CURL", VAULT_ADDR="https://vault.example:8200/",
                    VAULT_TOKEN_FILE=str(tmp_path / "token"))
    recipe.secrets.append(TOKEN)
    return recipe


@pytest.fixture(name="vault_cli")
def make_vault_cli(tmp_path):
    return Recipe("vault", tmp_path, "VAULT_CLI", VAULT_ADDR="https://vault.example:8200")


@pytest.fixture(name="app")
def make_app(tmp_path):
    key = tmp_path / "app.pem"
    subprocess.run(["openssl", "genrsa", "-out", str(key), "2048"], check=True, capture_output=True)
    recipe = Recipe("github-app", tmp_path, "CURL", GITHUB_APP_ID="Iv23abc", GITHUB_APP_INSTALLATION_ID="4711",
                    GITHUB_APP_KEY_FILE=str(key))
    recipe.secrets = [APP_TOKEN]
    return recipe


def secret(user=USER, password=SECRET):
    return json.dumps({"username": user, "password": password}) + "\n"


def http(code, body):
    return f"{body if isinstance(body, str) else json.dumps(body)}\n{code}"


def kv2(fields):
    return {"data": {"data": fields, "metadata": {"version": 3, "deletion_time": "", "destroyed": False}}}


FIELDS = {"username": USER, "password": SECRET}
MALFORMED = ["", "None\n", "hunter2", "[1]", "null", "3", '"' + "x" * 30 + '"', "{}", '{"username":"robot"}',
             '{"username":"robot","password":""}', '{"username":"","password":"hunter2"}',
             '{"username":"robot","password":3}', '{"username":["robot"],"password":"hunter2"}', "{" + secret()]


# --- every script ---

@pytest.mark.parametrize("name", ["aws", "vault", "vault_cli", "app"])
def test_other_verbs(name, request):
    recipe = request.getfixturevalue(name)
    recipe.check_failure("only reads", verb="store", registry=json.dumps({"ServerURL": "r", "Username": "u", "Secret": SECRET}))
    recipe.check_failure("only reads", verb="erase")
    recipe.check_failure("does not list", verb="list", registry="")
    recipe.check_failure("usage:", verb="version")
    recipe.check_failure("usage:", verb=None)
    assert not recipe.program.was_called


@pytest.mark.parametrize("name", ["aws", "vault", "vault_cli"])
@pytest.mark.parametrize("registry", ["../../sys/seal", "--help", "a b", "a;id", "$(id)", "https://", "a\\b", "a*", "é"])
def test_no_registry(name, registry, request):
    recipe = request.getfixturevalue(name)
    recipe.check_failure("is not a registry", registry=registry)
    assert not recipe.program.was_called


@pytest.mark.parametrize("name", ["aws", "vault", "vault_cli", "app"])
def test_nothing_on_standard_input(name, request):
    request.getfixturevalue(name).check_failure("no registry on standard input", registry="")


@pytest.mark.parametrize("name", ["aws", "vault", "vault_cli", "app"])
def test_without_jq(name, request, tmp_path):
    """A PATH with everything but jq."""
    tools = tmp_path / "tools"
    tools.mkdir()
    for tool in ("cat", "date", "env", "openssl", "sed", "sh", "tr"):
        (tools / tool).symlink_to(shutil.which(tool))
    recipe = request.getfixturevalue(name)
    registry = "ghcr.io" if name == "app" else "registry.example"
    recipe.check_failure("jq is not installed", registry=registry, path=str(tools))
    assert not recipe.program.was_called


@pytest.mark.parametrize("name", ["aws", "vault", "vault_cli", "app"])
def test_without_its_program(name, request):
    recipe = request.getfixturevalue(name)
    recipe.program.path.unlink()
    recipe.check_failure("install" if name != "vault_cli" else "VAULT_CLI=",
                         registry="ghcr.io" if name == "app" else "registry.example")


@pytest.mark.skipif(not shutil.which("shellcheck"), reason="shellcheck is not installed")
def test_shellcheck():
    subprocess.run(["shellcheck", *map(str, sorted(RECIPES.glob("docker-credential-*")))], check=True)


# --- AWS ---

def arguments(recipe):
    return recipe.program.heard("arguments").splitlines()


def test_aws_secrets_manager(aws):
    aws.program.says(secret())
    aws.check_answer()
    assert arguments(aws) == ["secretsmanager", "get-secret-value", "--secret-id", "docker/registry.example", "--query",
                              "SecretString", "--output", "text"]
    assert "AWS_DEFAULT_REGION=eu-west-1" in aws.program.heard("environment")


def test_aws_parameter_store(aws):
    aws.program.says(secret())
    aws.check_answer(AWS_SECRETS_SOURCE="ssm")
    assert arguments(aws) == ["ssm", "get-parameter", "--name", "/docker/registry.example", "--with-decryption", "--query",
                              "Parameter.Value", "--output", "text"]
    aws.check_failure("AWS_SECRETS_SOURCE=", AWS_SECRETS_SOURCE="s3")


@pytest.mark.parametrize("registry, name", [
    ("https://index.docker.io/v1/", "index.docker.io"), ("index.docker.io", "index.docker.io"),
    ("registry.example:5000\n", "registry.example_5000"), ("registry.example/team", "registry.example/team"),
    ("http://registry.example/v2/", "registry.example")])
def test_aws_names(aws, registry, name):
    aws.program.says(secret())
    aws.check_answer(registry=registry)
    assert arguments(aws)[3] == f"docker/{name}"
    aws.check_answer(registry=registry, AWS_SECRETS_PREFIX="prod/pull-")
    assert arguments(aws)[3] == f"prod/pull-{name}"
    aws.check_answer(registry=registry, AWS_SECRETS_PREFIX="")
    assert arguments(aws)[3] == name


def test_aws_not_found(aws):
    aws.program.says("", "\nAn error occurred (ResourceNotFoundException) when calling the GetSecretValue operation: Secrets "
                         "Manager can't find the specified secret.\n", 254)
    aws.check_not_found()
    aws.program.says("", "\nAn error occurred (ParameterNotFound) when calling the GetParameter operation: \n", 254)
    aws.check_not_found(AWS_SECRETS_SOURCE="ssm")


def test_aws_fails(aws):
    aws.program.says("", "\nAn error occurred (AccessDeniedException) when calling the GetSecretValue operation: User: "
                         "arn:aws:sts::1:assumed-role/web/i-1 is not authorized\n", 254)
    aws.check_failure("docker/registry.example: An error occurred (AccessDeniedException)")
    aws.program.says("", "", 1)
    aws.check_failure("docker/registry.example")
    aws.program.says(secret(), "\nConnection was closed\n", 255)  # what it said before it failed is no complaint
    aws.check_failure("Connection was closed")
    aws.program.says(secret(), "a warning\n")
    aws.check_answer()


@pytest.mark.parametrize("text", MALFORMED, ids=range(len(MALFORMED)))
def test_aws_malformed(aws, text):
    aws.program.says(text)
    aws.secrets.append("hunter2")
    aws.check_failure("docker/registry.example is not JSON with a username and a password")


# --- Vault ---

def config(recipe):
    return dict(re.findall(r'^header = "([^:]+): (.*)"$', recipe.program.heard("input"), re.M))


def test_vault(vault):
    vault.program.says(http(200, kv2(FIELDS)))
    vault.check_answer()
    assert arguments(vault)[-2:] == ["--url", "https://vault.example:8200/v1/secret/data/docker/registry.example"]
    assert config(vault) == {"X-Vault-Token": TOKEN}


def test_vault_settings(vault):
    vault.program.says(http(200, {"data": FIELDS}))
    vault.check_answer(registry="registry.example:5000", VAULT_KV_VERSION="1", VAULT_KV_MOUNT="kv", VAULT_KV_PREFIX="",
                       VAULT_NAMESPACE="team", VAULT_CACERT="/ca.pem")
    assert arguments(vault)[-4:] == ["--url", "https://vault.example:8200/v1/kv/registry.example_5000", "--cacert", "/ca.pem"]
    assert config(vault) == {"X-Vault-Token": TOKEN, "X-Vault-Namespace": "team"}


def test_vault_token(vault):
    vault.check_failure("there is no token in", VAULT_TOKEN_FILE="/does/not/exist")
    Path(vault.variables["VAULT_TOKEN_FILE"]).write_text(f'{TOKEN}"\nurl = "https://elsewhere.example\n')
    vault.check_failure("there is no token in")
    assert not vault.program.was_called
    vault.check_failure("VAULT_ADDR= is not set", VAULT_ADDR=None)
    (vault.directory / ".vault-token").write_text(TOKEN)
    vault.program.says(http(200, kv2(FIELDS)))
    vault.check_answer(VAULT_TOKEN_FILE=None)


def test_vault_not_found(vault):
    vault.program.says(http(404, {"errors": []}))
    vault.check_not_found()
    deleted = kv2(None)
    vault.program.says(http(404, deleted))  # the last version was deleted
    vault.check_not_found()


def test_vault_fails(vault):
    vault.program.says(http(404, {"errors": ["no handler for route \"secret/data/docker/x\""]}))
    vault.check_failure("are VAULT_KV_MOUNT= and VAULT_KV_VERSION= right?")
    vault.program.says(http(404, {"errors": [], "warnings": ["Invalid path for a versioned K/V secrets engine."]}))
    vault.check_failure("are VAULT_KV_MOUNT= and VAULT_KV_VERSION= right?", VAULT_KV_VERSION="1")
    vault.program.says(http(403, {"errors": ["permission denied"]}))
    vault.check_failure("403; the token has ended")
    vault.program.says(http(503, {"errors": ["Vault is sealed"]}))
    vault.check_failure("503")
    vault.program.says("", "curl: (6) Could not resolve host: vault.example\n", 6)
    vault.check_failure("curl: (6) Could not resolve host: vault.example")


@pytest.mark.parametrize("text", MALFORMED[1:], ids=range(1, len(MALFORMED)))
def test_vault_malformed(vault, vault_cli, text):
    for recipe, said in ((vault, http(200, text)), (vault, http(200, f'{{"data":{{"data":{text},"metadata":{{}}}}}}')),
                         (vault_cli, text)):
        if "null" in said and "metadata" in said:
            continue  # a deleted one
        recipe.program.says(said)
        recipe.secrets.append("hunter2")
        recipe.check_failure("secret/docker/registry.example has no username and password")


def test_vault_program(vault_cli):
    for answer in (kv2(FIELDS), {"data": FIELDS}):
        vault_cli.program.says(json.dumps(answer))
        vault_cli.check_answer()
    assert arguments(vault_cli) == ["kv", "get", "-format=json", "-mount=secret", "docker/registry.example"]
    vault_cli.program.says(json.dumps(kv2(None)))
    vault_cli.check_not_found()
    vault_cli.program.says("", "No value found at secret/data/docker/registry.example\n", 2)
    vault_cli.check_not_found()
    vault_cli.program.says("", "Error making API request.\n\nURL: GET https://vault.example\nCode: 403. Errors:\n\n"
                               "* permission denied\n", 2)
    vault_cli.check_failure("Code: 403. Errors: * permission denied")


# --- GitHub App ---

def unbase64url(text):
    return base64.urlsafe_b64decode(text + "=" * (-len(text) % 4))


def test_github_app(app, tmp_path):
    app.program.says(http(201, {"token": APP_TOKEN, "expires_at": "2030-01-01T00:00:00Z"}))
    app.check_answer(user="x-access-token", secret=APP_TOKEN, registry="ghcr.io")
    assert arguments(app)[-1] == "https://api.github.com/app/installations/4711/access_tokens"
    assert json.loads(arguments(app)[arguments(app).index("--data") + 1]) == {"permissions": {"packages": "read"}}

    jwt = config(app)["Authorization"].removeprefix("Bearer ")
    assert jwt not in app.program.heard("arguments") + app.program.heard("environment")
    head, body, signature = jwt.split(".")
    assert json.loads(unbase64url(head)) == {"alg": "RS256", "typ": "JWT"}
    claims = json.loads(unbase64url(body))
    assert claims["iss"] == "Iv23abc"
    assert claims["iat"] < time.time() < claims["exp"]
    assert claims["exp"] - claims["iat"] <= 600
    (tmp_path / "signature").write_bytes(unbase64url(signature))
    key = app.variables["GITHUB_APP_KEY_FILE"]
    subprocess.run(["openssl", "dgst", "-sha256", "-prverify", key, "-signature", str(tmp_path / "signature")],
                   input=f"{head}.{body}".encode(), check=True)


def test_github_app_of_another_registry(app):
    app.check_not_found(registry="registry.example")
    app.check_not_found(registry="ghcr.io.evil.example")
    assert not app.program.was_called
    app.program.says(http(201, {"token": APP_TOKEN}))
    app.check_answer("x-access-token", APP_TOKEN, "https://containers.github.example/", GITHUB_API_URL="https://github.example/api/v3",
                     GITHUB_APP_REGISTRY="containers.github.example")
    assert arguments(app)[-1] == "https://github.example/api/v3/app/installations/4711/access_tokens"


def test_github_app_settings(app, tmp_path):
    app.check_failure("GITHUB_APP_ID=", registry="ghcr.io", GITHUB_APP_ID=None)
    app.check_failure("GITHUB_APP_ID=", registry="ghcr.io", GITHUB_APP_ID='"')
    app.check_failure("GITHUB_APP_INSTALLATION_ID=", registry="ghcr.io", GITHUB_APP_INSTALLATION_ID="x/../1")
    app.check_failure("GITHUB_APP_KEY_FILE=", registry="ghcr.io", GITHUB_APP_KEY_FILE="/does/not/exist")
    (tmp_path / "no-key").write_text("no key")
    app.check_failure("no-key is not a private key", registry="ghcr.io", GITHUB_APP_KEY_FILE=str(tmp_path / "no-key"))
    assert not app.program.was_called


def test_github_app_fails(app):
    app.program.says(http(401, {"message": "A JSON web token could not be decoded"}))
    app.check_failure("401 A JSON web token could not be decoded", registry="ghcr.io")
    app.program.says(http(502, "<html>Bad gateway</html>"))
    app.check_failure("502", registry="ghcr.io")
    app.program.says("", "curl: (28) Connection timed out\n", 28)
    app.check_failure("curl: (28) Connection timed out", registry="ghcr.io")
    for text in ("{}", '{"token":""}', '{"token":3}', f'{{"token":"{APP_TOKEN}"', f'["{APP_TOKEN}"]'):
        app.program.says(http(201, text))
        app.check_failure("the answer has no token", registry="ghcr.io")


# --- through ecs-authd ---

def render(recipe, registry, settings, *more):
    """With the recipe's own settings file, and what HelperEnvironment= has to have for the stand-in."""
    directory = recipe.directory
    helpers = directory / "bin"
    helpers.mkdir(exist_ok=True)
    shutil.copy(RECIPES / f"docker-credential-{recipe.helper}", helpers)
    (directory / "config.json").write_text(json.dumps({"credHelpers": {registry: recipe.helper}}))
    drop_ins = directory / "ecs-authd.conf.d"
    drop_ins.mkdir(exist_ok=True)
    (directory / "ecs-authd.conf").write_text("")
    shutil.copy(RECIPES / settings, drop_ins / f"50-{settings}")
    (drop_ins / "60-test.conf").write_text("[Credentials]\n" + "".join(
        f"HelperEnvironment={name}={value}\n" for name, value in recipe.variables.items()))
    command = [str(ECS_AUTHD), "--config", str(directory / "ecs-authd.conf"), "-o", f"Credentials.File={directory}/config.json",
               "-o", f"Agent.EnvironmentFile={directory}/ecs.config", "render", "--reveal", *more]
    # Helpers are found in fixed places: for this command one of them is ours.
    command = ["unshare", "--mount", "sh", "-c", 'mount --bind "$0" /usr/local/bin && exec "$@"', str(helpers), *command]
    result = subprocess.run(command, check=False, capture_output=True, text=True, timeout=60,
                            env={**os.environ, "STATE_DIRECTORY": str(directory / "state")})
    recipe.check_secrets(result.stderr)
    data = re.search(r"^ECS_ENGINE_AUTH_DATA=(.*)$", result.stdout, re.M)
    return json.loads(data.group(1)) if data else {}, result.stderr


def entry(user, password):
    return {"auth": base64.b64encode(f"{user}:{password}".encode()).decode()}


@pytest.mark.skipif(os.geteuid() != 0, reason="a helper of ours can be put in its place by root only")
@pytest.mark.parametrize("name, registry, settings, answer, expected, failure", [
    ("aws", "registry.example.com", "aws.conf", secret(), entry(USER, SECRET), "An error occurred (AccessDenied) for it"),
    ("aws", "https://index.docker.io/v1/", "aws.conf", secret(), entry(USER, SECRET), "An error occurred (AccessDenied)"),
    ("vault", "registry.example.com", "vault.conf", http(200, kv2(FIELDS)), entry(USER, SECRET), "curl: (7) Failed to connect"),
    ("vault_cli", "registry.example.com", "vault.conf", json.dumps(kv2(FIELDS)), entry(USER, SECRET), "* permission denied"),
    ("app", "ghcr.io", "github-app.conf", http(201, {"token": APP_TOKEN}), entry("x-access-token", APP_TOKEN),
     "curl: (7) Failed to connect")])
def test_render(name, registry, settings, answer, expected, failure, request):
    recipe = request.getfixturevalue(name)
    recipe.program.says(answer)
    entries, said = render(recipe, registry, settings)
    assert list(entries.values()) == [expected], said
    recipe.program.says("", failure + "\n", 1)
    entries, said = render(recipe, registry, settings)
    assert entries == {}
    assert "it failed" in said and "By hand (this prints the secret): " in said
    assert failure not in said  # the helper's own words may contain a secret


# --- monitoring ---


@pytest.fixture(name="promtool", scope="module")
def make_promtool(tmp_path_factory):
    return find_promtool(tmp_path_factory.mktemp("prometheus")) or pytest.skip("no promtool, and no package of prometheus")


def test_alert_rules(promtool):
    """As the page has it, and each alert is seen to fire."""
    for line in lines(RECIPES / "monitoring.md"):
        if line.startswith("promtool"):
            words = [promtool, *line.replace("/etc/prometheus/", "").split()[1:]]
            result = subprocess.run(words, cwd=RECIPES, check=False, capture_output=True, text=True)
            assert result.returncode == 0, result.stdout + result.stderr
    tests = (RECIPES / "ecs-authd.rules.test.yml").read_text()
    for alert in re.findall(r"alert: (\w+)", (RECIPES / "ecs-authd.rules.yml").read_text()):
        assert re.search(rf"alertname: {alert}\n +exp_alerts:", tests), alert


def test_alert_rules_name_what_there_is():
    """Metrics of the manual, which another test compares with the program's, and states and outcomes of the code."""
    rules = (RECIPES / "ecs-authd.rules.yml").read_text()
    manual = (TOP / "packaging/man/ecs-authd.conf.5.scd").read_text()
    expressions = "".join(re.findall(r"expr: ((?:.|\n)*?)\n +(?:for|labels):", rules))
    for metric in set(re.findall(r"\becs_authd_\w+", expressions)):
        assert f"*{metric}* (" in manual, metric
    code = (TOP / "daemon/report/reason-texts.c").read_text() + (TOP / "daemon/report/metrics.c").read_text()
    for word in re.findall(r'(?:state|outcome)="(\w+)"', expressions):
        assert f'"{word}"' in code, word


@pytest.mark.parametrize("name, kind, needed", [
    ("cloudwatch-agent.json", "journald", "log_group_name"), ("cloudwatch-agent-file.json", "files", "file_path")])
def test_cloudwatch_agent(name, kind, needed):
    """What the agent's own schema knows (amazon-cloudwatch-agent: translator/config/schema.json); all else is an error there."""
    document = json.loads((RECIPES / name).read_text())
    assert list(document) == ["logs"] and list(document["logs"]) == ["logs_collected"]
    collected = document["logs"]["logs_collected"]
    assert list(collected) == [kind] and list(collected[kind]) == ["collect_list"]
    known = {"log_group_name", "log_stream_name", "retention_in_days"} | {
        "journald": {"units", "priority"}, "files": {"file_path"}}[kind]
    for entry in collected[kind]["collect_list"]:
        assert needed in entry and set(entry) <= known
        assert entry["retention_in_days"] in (1, 3, 5, 7, 14, 30, 60, 90)
        assert entry.get("priority", "warning") == "warning"
        assert entry.get("units", ["ecs-authd.service"]) == ["ecs-authd.service"]
        assert entry.get("file_path", "/run/ecs-authd-warnings.json") == "/run/ecs-authd-warnings.json"
    unit = (RECIPES / "ecs-authd-journal.service").read_text()
    assert "StandardOutput=append:/run/ecs-authd-warnings.json\n" in unit and "--priority=warning\n" in unit


def test_cloudwatch_alarms():
    """Each filter is of ids that there are, and no id of a line that somebody should see is in none."""
    resources = json.loads((RECIPES / "cloudwatch-alarms.json").read_text())["Resources"]
    filters = {name: r["Properties"] for name, r in resources.items() if r["Type"] == "AWS::Logs::MetricFilter"}
    alarms = {name: r["Properties"] for name, r in resources.items() if r["Type"] == "AWS::CloudWatch::Alarm"}
    assert len(filters) == len(alarms) == 3 and len(resources) == 6
    ids = dict(re.findall(r'#define MESSAGE_(\w+) "(\w+)"', (TOP / "common/base/message-ids.h").read_text()))
    names = {value: name for name, value in ids.items()} | {"d9b373ed55a64feb8242e02dbe79a49c": "systemd: the unit has failed"}
    found = {}
    for name, f in filters.items():
        assert len(f["FilterPattern"]) <= 1024 and re.fullmatch(r"\?\w{32}( \?\w{32})*", f["FilterPattern"])
        found[name] = {names[word[1:]] for word in f["FilterPattern"].split()}
        metric, = f["MetricTransformations"]
        alarm = alarms[name.replace("Filter", "Alarm")]
        assert (metric["MetricNamespace"], metric["MetricName"]) == (alarm["Namespace"], alarm["MetricName"])

    texts = (TOP / "daemon/report/reason-texts.c").read_text()
    for state, level, message in re.findall(r'\{\s*"(\w+)",\s*LOG_(\w+),\s*MESSAGE_(\w+)', texts):
        # Beside those three stands the line of the problem itself.
        if state in ("held", "silent", "problem") and level in ("WARNING", "ERR") and \
                message not in ("WAITING", "STARTING", "LIVE"):
            assert message in set().union(*found.values()), message
        if state == "held":
            assert message in found["HeldFilter"], message
        if state == "silent":
            assert message in found["SilentFilter"], message


# --- the pages ---

PAGES = sorted(RECIPES.glob("*.md"))


def blocks(page, language):
    return re.findall(rf"^```{language}\n(.*?)^```$", page.read_text(), re.M | re.S)


def lines(page):
    return [line for block in blocks(page, "sh") for line in block.splitlines()]


@pytest.mark.parametrize("page", PAGES, ids=lambda p: p.name)
def test_page_names_what_is_here(page):
    for name in re.findall(r"\]\(([^)#]+)\)", page.read_text()):
        assert (RECIPES / name).exists(), name
    for text in blocks(page, "json"):
        json.loads(text)


def test_every_file_is_in_a_page_and_every_page_in_the_index():
    index = (RECIPES / "README.md").read_text()
    for page in PAGES:
        assert page.name == "README.md" or f"({page.name})" in index
    text = "".join(page.read_text() for page in PAGES)
    for path in RECIPES.iterdir():
        assert path in PAGES or path.name in text, path.name
        assert bool(path.stat().st_mode & 0o100) == path.name.startswith("docker-credential-")
    assert "packaging/recipes" in (TOP / "README.md").read_text()


@pytest.mark.parametrize("page", PAGES, ids=lambda p: p.name)
def test_install_commands(page, tmp_path):
    """Below another root; what the operator brings is there."""
    here = tmp_path / "here"
    shutil.copytree(RECIPES, here)
    root = tmp_path / "root"
    for name in ("usr/local/bin", "etc/ecs-authd.conf.d", "etc/systemd/system"):
        (root / name).mkdir(parents=True)
    (here / "downloaded.private-key.pem").write_text("key")
    for line in lines(page):
        if not line.startswith("install "):
            continue
        words = [f"{root}{word}" if word.startswith("/") else word for word in line.split()]
        subprocess.run(words, cwd=here, check=True)
    for path in root.rglob("docker-credential-*"):
        assert path.stat().st_mode & 0o777 == 0o755
    for path in (root / "etc/ecs-authd.conf.d").iterdir():
        (tmp_path / "config.json").write_text("{}")
        result = subprocess.run([str(ECS_AUTHD), "--config", str(path), "-o", "Credentials.File=", "-o",
                                 f"Credentials.File={tmp_path}/config.json", "-o", f"Agent.EnvironmentFile={tmp_path}/ecs.config",
                                 "render"], check=False, capture_output=True, text=True)
        assert result.returncode == 0, result.stderr


def test_other_commands():
    """Each is one that is tried elsewhere: below another root, in a real unit, or with stand-ins."""
    usage = subprocess.run([str(ECS_AUTHD), "--help"], check=True, capture_output=True, text=True).stdout
    for page in PAGES:
        for line in lines(page):
            words = line.split()
            if words[0] == "ecs-authd":
                for word in words[1:]:
                    assert word in usage, line
            else:
                assert words[0].rpartition("/")[2] in (
                    "install", "systemctl", "systemd-creds", "loginctl", "podman", "printf", "vault", "docker", "promtool", "aws",
                    "amazon-cloudwatch-agent-ctl"), line


@pytest.mark.skipif(os.geteuid() != 0, reason="a helper of ours can be put in its place by root only")
def test_the_index_tries_a_helper(vault, tmp_path):
    """The command of README.md as it stands there, but for a stand-in that answers."""
    line = next(line for line in lines(RECIPES / "README.md") if line.startswith("printf"))
    line = line.replace(" VAULT_ADDR", f" CURL={vault.program.path} VAULT_TOKEN_FILE={tmp_path}/token VAULT_ADDR")
    helpers = tmp_path / "bin"
    helpers.mkdir()
    shutil.copy(RECIPES / "docker-credential-vault", helpers)
    vault.program.says(http(200, kv2(FIELDS)))
    result = subprocess.run(["unshare", "--mount", "sh", "-c", f'mount --bind "$0" /usr/local/bin && {line}', str(helpers)],
                            check=True, capture_output=True, text=True)
    assert json.loads(result.stdout)["Secret"] == SECRET
