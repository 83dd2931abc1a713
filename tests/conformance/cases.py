# SPDX-License-Identifier: Apache-2.0
"""Credential files as people have them, and what the agent is to pull with. Each file is what its tool writes, byte for
byte where bytes matter."""

import base64
import json
from dataclasses import dataclass, field
from pathlib import Path

from agent_lookup import Auth

INPUTS = Path(__file__).parent / "inputs"

PW = Auth("puller", "s3cr3t")
OTHER = Auth("other", "s3cond")
THIRD = Auth("third", "s3third")
TOKEN = Auth("", "", "eyJhbGciOiJSUzI1NiJ9.eyJqdGkiOiJ4In0.c2ln")
R = "registry.example.com"
IMAGE = f"{R}/team/app:1"
HUB = "https://index.docker.io/v1/"


def b64(auth):
    return base64.b64encode(f"{auth.username}:{auth.password}".encode()).decode()


def entry(auth=PW, **more):
    return {"auth": b64(auth), **more}


def cli(auths, **more):
    """As Docker's CLI writes it: indented with a tab, no newline at the end."""
    return json.dumps({"auths": auths, **more}, indent="\t")


def raw(auths, **more):
    """As an editor leaves it: what is not ASCII stands there in UTF-8."""
    return json.dumps({"auths": auths, **more}, indent=2, ensure_ascii=False) + "\n"


def compact(auths, **more):
    return json.dumps({"auths": auths, **more}, separators=(",", ":"))


@dataclass
class Case:
    name: str
    files: list  # of text; several are several File=
    images: dict = field(default_factory=dict)  # image: Auth, or None for "without credentials"
    settings: dict = field(default_factory=dict)
    kind: str = "dockercfg"
    helpers: dict = field(default_factory=dict)  # of docker-credential-X: a shell script
    says: str = ""  # a part of what is printed for people
    refused: bool = False  # nothing is written
    problem: bool = False  # one entry of it is not; apply tells by its exit status
    never: str = ""  # neither printed nor written


KEY_FILE = '{\n  "type": "service_account",\n  "private_key": "-----BEGIN\\nABC\\n-----END\\n"\n}'


def everywhere(name, key, **more):
    """One key wherever a key can be; beside it a registry whose credentials are written."""
    gives = store({key: (OTHER.username, OTHER.password), R: (PW.username, PW.password)})
    files = {"in auths": [cli({key: entry(OTHER), R: entry()})], "in ~/.dockercfg": [json.dumps({key: entry(OTHER), R: entry()})],
             "in credHelpers": [cli({R: entry()}, credHelpers={key: "test"})],
             "in credHelpers, empty": [cli({key: entry(OTHER), R: entry()}, credHelpers={key: ""})],
             "in auths, of a store": [cli({key: {}, R: {}}, credsStore="test")]}
    # The list of a store may name anything: its keys are left out without a word.
    silent = {k: v for k, v in more.items() if k not in ("says", "problem")}
    return [*(Case(f"{name}, {where}", text, {IMAGE: PW}, helpers={"test": gives}, **more) for where, text in files.items()),
            Case(f"{name}, in a store's list", [cli({}, credsStore="test")], {IMAGE: PW}, helpers={"test": gives}, **silent)]


def one(name, text, auth=PW, image=IMAGE, **more):
    return Case(name, [text], {image: auth, "elsewhere.example/x": None}, **more)


def spelled(key, image=IMAGE):
    return one(f"key {key}", cli({key: entry()}), image=image)


def password(name, text, **more):
    auth = Auth("puller", text)
    return one(f"password: {name}", cli({R: entry(auth)}), auth, **more)


def store(answers):
    """A credential store that knows these; the protocol of docker-credential-helpers."""
    gets = "".join(f"'{server}') printf '%s' '{json.dumps({'ServerURL': server, 'Username': user, 'Secret': secret})}' ;;\n"
                   for server, (user, secret) in answers.items())
    listing = json.dumps({server: user for server, (user, _) in answers.items()})
    return ("#!/bin/sh\ncase $1 in\nlist) printf '%s' '" + listing + "' ;;\nget) read -r server || true\ncase $server in\n" + gets +
            "*) echo 'credentials not found in native keychain'; exit 1 ;;\nesac ;;\nesac\n")


FROM_TOOLS = [
    one("docker login", cli({R: entry()})),
    one("docker login to Docker Hub", cli({HUB: entry()}), image="library/nginx:1"),
    one("docker login, an image without a slash", cli({HUB: entry()}), image="nginx"),
    one("docker login, an image of a user", cli({HUB: entry()}), image="someone/app"),
    one("docker login, old CLI with headers", cli({R: entry()}, HttpHeaders={"User-Agent": "Docker-Client/19.03 (linux)"})),
    one("docker, with what people configure", cli(
        {R: entry()}, detachKeys="ctrl-e,e", psFormat="table {{.ID}}", experimental="enabled", currentContext="default",
        proxies={"default": {"httpProxy": "http://proxy.example:3128"}}, plugins={"x": {"k": "v"}},
        cliPluginsExtraDirs=["/usr/libexec/docker"], features={"buildkit": "true"})),
    one("docker, e-mail of old", cli({R: entry(email="a@example.com")})),
    one("podman login", '{\n\t"auths": {\n\t\t"%s": {\n\t\t\t"auth": "%s"\n\t\t}\n\t}\n}' % (R, b64(PW))),
    one("podman login to a namespace", cli({f"{R}/team": entry()})),
    one("skopeo login", '{\n\t"auths": {\n\t\t"%s": {\n\t\t\t"auth": "%s"\n\t\t}\n\t}\n}\n' % (R, b64(PW))),
    one("helm registry login", '{"auths":{"%s":{"auth":"%s"}}}' % (R, b64(PW))),
    one("kubectl create secret docker-registry", compact({R: {"username": "puller", "password": "s3cr3t",
                                                             "email": "a@example.com", "auth": b64(PW)}})),
    one("kubernetes secret written by hand", compact({R: {"username": "puller", "password": "s3cr3t"}})),
    one("terraform's jsonencode", compact({f"https://{R}": {"auth": b64(PW), "email": ""}})),
    one("jq -S", json.dumps({"auths": {R: entry()}, "credHelpers": {}}, indent=2, sort_keys=True) + "\n"),
    one("edited on Windows", cli({R: entry()}).replace("\n", "\r\n") + "\r\n"),
    one("~/.dockercfg", json.dumps({R: entry(email="a@example.com")}, indent="\t")),
    one("~/.dockercfg of Docker 1.6", json.dumps({HUB: entry(email="a@example.com")}), image="library/nginx"),
    one("~/.dockercfg with user name and password", json.dumps({R: {"username": "puller", "password": "s3cr3t"}})),
    one("az acr login", cli({R: {"auth": b64(Auth("00000000-0000-0000-0000-000000000000", "")),
                                 "identitytoken": TOKEN.token}}), Auth("00000000-0000-0000-0000-000000000000", "", TOKEN.token),
        kind="docker"),
    one("an identity token alone", cli({R: {"identitytoken": TOKEN.token}}), TOKEN, kind="docker"),
    one("gcloud print-access-token | docker login", cli({R: entry(Auth("oauth2accesstoken", "ya29." + "a0Af_-" * 170))}),
        Auth("oauth2accesstoken", "ya29." + "a0Af_-" * 170)),
    one("a robot account of Harbor", cli({R: entry(Auth("robot$team+ci", "pA55"))}), Auth("robot$team+ci", "pA55")),
    one("a deploy token of GitLab", cli({f"{R}:5050": entry(Auth("gitlab+deploy-token-1", "gldt-x_y-z"))}),
        Auth("gitlab+deploy-token-1", "gldt-x_y-z"), image=f"{R}:5050/group/app"),
    one("a key file of Google as a password", cli({R: entry(Auth("_json_key", '{\n  "type": "service_account"\n}\n'))}),
        Auth("_json_key", '{\n  "type": "service_account"\n}\n'), never="newline"),
    one("a key file of Google, its line breaks in the middle", cli({"https://gcr.io": entry(Auth("_json_key", KEY_FILE))}),
        Auth("_json_key", KEY_FILE), image="gcr.io/project/app", never="newline"),
    one("a key file of Google in base64, as base64(1) ends it", cli({R: entry(Auth("_json_key_base64", "e30=\n"))}),
        Auth("_json_key_base64", "e30=\n"), never="newline"),
    Case("docker login to Docker Hub in a browser",
         [cli({HUB: entry(), f"{HUB}access-token": entry(), f"{HUB}refresh-token": entry(OTHER)})], {"nginx": PW}, never="-token"),
    one("names in other letters, as Go takes them", json.dumps({"Auths": {R: {"AUTH": b64(PW), "Email": "a@example.com"}}})),
    one("user name and password in other letters", json.dumps({"AUTHS": {R: {"UserName": "puller", "PassWord": "s3cr3t"}}})),
    one("an identity token in other letters", json.dumps({"auths": {R: {"IdentityToken": TOKEN.token}}}), TOKEN, kind="docker"),
    one("~/.dockercfg in other letters", json.dumps({R: {"Auth": b64(PW)}})),
    one("one name in two spellings, the later one counts", '{"auths": {"%s": {"auth": "%s", "Auth": "%s"}}}' % (
        R, b64(OTHER), b64(PW))),
    Case("a registry is a key, and a key is exact", [json.dumps({"credHelpers": {f"{R}/team": "nowhere"}, "CredsStore": "",
                                                                "Auths": {R: entry()}})], {f"{R}/x": PW},
         says="docker-credential-nowhere", problem=True),
    one("a comment that is not ASCII", raw({R: entry()}, _comment="für die Läufer – 🔑", **{"größe": ["é", 1]})),
    one("an entry with a comment that is not ASCII", raw({R: entry(**{"wofür": "nur für Ñandú"})})),
    Case("thirty registries", [cli({f"r{n}.example": entry(Auth("u", f"p{n}")) for n in range(30)})],
         {f"r{n}.example/app": Auth("u", f"p{n}") for n in range(30)}),
    Case("logged out everywhere", [cli({})], {IMAGE: None}, kind=None),
    Case("a file of settings only", ['{"detachKeys": "ctrl-e,e"}'], {IMAGE: None}, kind=None),
    Case("an empty object", ["{}"], {IMAGE: None}, kind=None),
    Case("auths: null", ['{"auths": null}'], {IMAGE: None}, kind=None),
]

KEYS = [
    *[spelled(key, "library/nginx") for key in (
        "https://index.docker.io/v1", "https://index.docker.io/v2/", "index.docker.io", "docker.io", "https://docker.io", "registry-1.docker.io")],
    *[spelled(key) for key in (f"https://{R}", f"http://{R}", f"https://{R}/", f"https://{R}/v1/", f"https://{R}/v2/",
                               f"{R}///", f"{R}/team", f"{R}/team/app")],
    spelled(f"https://{R}:5000/v2/", f"{R}:5000/app"),
    spelled("localhost:5000", "localhost:5000/app"),
    spelled("127.0.0.1:5000", "127.0.0.1:5000/app"),
    spelled("[2001:DB8::1]:5000", "[2001:DB8::1]:5000/app"),
    Case("capital letters in a host", [cli({R.upper(): entry(), R: entry(OTHER), "Other.example": entry()})],
         {f"{R.upper()}/app": PW, f"{R}/app": OTHER, "Other.example/app": PW, "other.example/app": None},
         says="is only for image names with these capital letters"),
    Case("a path before the host", [cli({R: entry(OTHER), f"{R}/team": entry()})],
         {IMAGE: PW, f"{R}/rest/app": OTHER}),
    Case("groups that are called v1 and v2", [cli({R: entry(THIRD), f"{R}/group/v1": entry(), f"{R}/group/v2": entry(OTHER)})],
         {f"{R}/group/v1/app": PW, f"{R}/group/v2/app": OTHER, f"{R}/group/app": THIRD}),
    Case("API paths beside the host", [cli({f"https://{R}/v1/": entry(), f"{R}/v2/": entry()})], {IMAGE: PW}),
    Case("two spellings, one of them Docker's", [cli({f"https://{R}": entry(OTHER), R: entry()})], {IMAGE: PW},
         says="are one registry with different credentials"),
    Case("two spellings of Docker Hub", [cli({"docker.io": entry(OTHER), HUB: entry()})], {"nginx": PW},
         says="are one registry with different credentials"),
    Case("two spellings, the same credentials", [cli({f"https://{R}": entry(), R: entry()})], {IMAGE: PW}),
    Case("a key with a newline", [cli({f"{R}\nECS_CLUSTER=evil": entry(), "good.example": entry()})],
         {"good.example/x": PW, IMAGE: None}, says="is not the name of a registry", problem=True),
    Case("a key with a quote", [cli({f'{R}"': entry(), "good.example": entry()})], {"good.example/x": PW, IMAGE: None},
         says="is not the name of a registry", problem=True),
]

VALUES = [
    password("a colon", "a:b::c"),
    password("quotes and backslash", "q\"u'o\\te\\\\"),
    password("dollar, hash, percent", "$HOME #x %25 `id`"),
    password("blanks at both ends", "  p w  "),
    password("not ASCII", "pässwörd-€-🔑"),
    one("a user name and a password that are not ASCII, in auth", raw({R: entry(Auth("jürgen", "pässwörd-€-🔑"))}),
        Auth("jürgen", "pässwörd-€-🔑")),
    one("a user name and a password that are not ASCII, plain", raw({R: {"username": "jürgen", "password": "пароль 密码"}}),
        Auth("jürgen", "пароль 密码")),
    one("not ASCII, as docker", raw({R: {"username": "jürgen", "password": "пароль密码"}}), Auth("jürgen", "пароль密码"),
        settings={"Agent.AuthType": "docker"}, kind="docker"),
    one("not ASCII, escaped", cli({R: {"username": "jürgen", "password": "🔑"}}), Auth("jürgen", "🔑")),
    password("the newline of echo", "s3cr3t\n", says=f"the password of {R} ends with a newline"),
    password("a newline in the middle", "s3c\nr3t", never="newline"),
    password("empty", ""),
    password("of 4,000 bytes", "x" * 4000),
    one("base64 without padding", cli({R: {"auth": b64(PW).rstrip("=")}})),
    one("base64 with the alphabet of URLs", cli({R: {"auth": base64.urlsafe_b64encode(b"puller:>>>???").decode()}}),
        Auth("puller", ">>>???")),
    one("base64 of 76 columns", cli({R: {"auth": base64.encodebytes(b"puller:" + b"y" * 200).decode()}}),
        Auth("puller", "y" * 200)),
    one("auth beside a stale password", cli({R: {"auth": b64(PW), "username": "old", "password": "old"}})),
    Case("auth that is no base64", [cli({R: {"auth": "%%%"}, "good.example": entry()})], {IMAGE: None, "good.example/x": PW},
         says='the entry of registry.example.com has an "auth" that is not base64', problem=True),
    Case("auth without a colon", [cli({R: {"auth": "cHVsbGVy"}, "good.example": entry()})],
         {IMAGE: None, "good.example/x": PW}, says='the entry of registry.example.com has an "auth" that is not base64',
         problem=True),
    Case("a number as a password", [compact({R: {"username": "puller", "password": 12345}, "good.example": entry()})],
         {IMAGE: None, "good.example/x": PW}, says='has a "password" that is not a string: it must be in double quotes',
         problem=True, never="12345"),
    Case("a number as auth", [compact({R: {"auth": 12345}, "good.example": entry()})], {IMAGE: None, "good.example/x": PW},
         says='has an "auth" that is not a string', problem=True),
    Case("a broken entry beside a good one of the same registry", [cli({f"https://{R}": {"auth": "%%%"}, R: entry()})], {IMAGE: PW},
         says=f"the entry {R} of "),
    Case("an empty entry beside a good one of the same registry", [cli({f"https://{R}": {}, R: entry()})], {IMAGE: PW},
         never="holds no credentials"),
    Case("an entry that is no object", ['{"auths": {"%s": "x", "good.example": {"auth": "%s"}}}' % (R, b64(PW))],
         {IMAGE: None, "good.example/x": PW}, says="is not an object", problem=True),
    Case("members that are no entries", [cli({R: entry()}, author="me", aliases={"builder": "buildx"})], {IMAGE: PW}),
    one("docker asked for by name", cli({R: entry()}), settings={"Agent.AuthType": "docker"}, kind="docker"),
    one("docker, with a password that JSON escapes", cli({R: entry(Auth("puller", "p/w"))}), Auth("puller", "p/w"),
        settings={"Agent.AuthType": "docker"}, kind="docker"),
    Case("docker, with a password that no line can carry", [cli({R: entry(Auth("puller", 'a"b')), "good.example": entry()})],
         {IMAGE: None, "good.example/x": PW}, settings={"Agent.AuthType": "docker"}, kind="docker",
         says=f"credentials of {R} cannot be written as AuthType=docker", problem=True),
    Case("dockercfg asked for, and a token", [cli({R: {"identitytoken": TOKEN.token}, "good.example": entry()})],
         {IMAGE: None, "good.example/x": PW}, settings={"Agent.AuthType": "dockercfg"},
         says="identity token. It is left out", problem=True),
    Case("a token beside a password", [cli({R: entry(), "t.example": {"identitytoken": TOKEN.token}})],
         {IMAGE: PW, "t.example/x": TOKEN}, kind="docker"),
]

FILES = [
    Case("the later file wins", [cli({R: entry(OTHER), "a.example": entry()}), cli({R: entry()})],
         {IMAGE: PW, "a.example/x": PW}),
    Case("an empty later file takes nothing away", [cli({R: entry()}), cli({})], {IMAGE: PW}),
    Case("an entry without a secret takes nothing away", [cli({R: entry()}), cli({R: {}})], {IMAGE: PW}),
    Case("config.json and .dockercfg", [cli({R: entry()}), json.dumps({HUB: entry(OTHER)})], {IMAGE: PW, "nginx": OTHER}),
    Case("Amazon ECR is left out", [cli({"123456789012.dkr.ecr.eu-west-1.amazonaws.com": entry(Auth("AWS", "x")),
                                         "public.ecr.aws": entry(Auth("AWS", "y")), R: entry()})],
         {IMAGE: PW, "123456789012.dkr.ecr.eu-west-1.amazonaws.com/x": None, "public.ecr.aws/x": None}, says="is left out"),
    Case("Amazon ECR, if somebody wants it", [cli({"public.ecr.aws": entry()})], {"public.ecr.aws/x": PW},
         settings={"Credentials.Exclude": ""}),
    Case("nothing but Amazon ECR", [cli({"123456789012.dkr.ecr.eu-west-1.amazonaws.com": entry(Auth("AWS", "x"))})],
         {IMAGE: None}, kind=None),
    Case("too much for docker --env-file", [cli({R: entry(Auth("u", "x" * 50000))})], settings={"Restart.Method": "none"},
         refused=True, says="more than the 65535 that its reader takes"),
    *[Case(f"broken: {name}", [text], refused=True, says=says) for name, text, says in (
        ("cut short", '{"auths": {"registry', ":1:21: not valid JSON"),
        ("a comma too many", '{"auths": {},}', "not valid JSON"),
        ("single quotes", "{'auths': {}}", "not valid JSON"),
        ("a word of Python", '{"auths": {}, "x": True}', ":1:20: not valid JSON"),
        ("a comment", '{"auths": {}} // mine', ":1:15: not valid JSON"),
        ("NaN", '{"auths": {}, "x": NaN}', "not valid JSON"),
        ("a bare newline in a string", '{"auths": {}, "x": "a\nb"}', "a control character in a string"),
        ("a byte order mark", "\ufeff{}", "not valid JSON"),
        ("empty", "", "it is empty"),
        ("a list", "[]", "no JSON object"),
        ("auths is a list", '{"auths": []}', '"auths" is not an object'),
        ("auths twice", '{"auths":{"%s":{"auth":"%s"}},"auths":{"s.example.com":{"auth":"%s"}}}' % (R, b64(PW), b64(PW)),
         ':1:67: "auths" occurs a second time'),
        ("credsStore without an s", compact({R: {}}, credStore="pass"), '"credStore" is not known to Docker; "credsStore" is'),
        ("credHelpers without an s", compact({R: entry()}, credHelper={R: "pass"}), '"credHelpers" is'),
        ("a Kubernetes Secret", json.dumps({"apiVersion": "v1", "kind": "Secret", "type": "kubernetes.io/dockerconfigjson", "data": {
            ".dockerconfigjson": "eyJhdXRocyI6e319"}}), "a Kubernetes Secret. The value of .dockerconfigjson"),
        ("~/.dockercfg with headers", json.dumps({R: entry(OTHER), "HttpHeaders": {"User-Agent": "x"}}), "'HttpHeaders' is not an entry"),
        ("~/.dockercfg with a string", json.dumps({R: entry(OTHER), "detachKeys": "ctrl-e,e"}), "'detachKeys' is not an entry"),
        ("something else", '{"some": "settings"}', "not a Docker credential file: it has neither"),
        ("two objects", "{}{}", "not valid JSON"))],
]

HELPERS = [
    Case("credsStore, entries empty", [cli({R: {}}, credsStore="test")], {IMAGE: PW},
         helpers={"test": store({R: (PW.username, PW.password)})}),
    Case("credsStore, no entries", [cli({}, credsStore="test")], {IMAGE: PW, "nginx": OTHER},
         helpers={"test": store({R: (PW.username, PW.password), HUB: (OTHER.username, OTHER.password)})}),
    Case("credsStore without auths", ['{"credsStore": "test"}'], {IMAGE: PW},
         helpers={"test": store({R: (PW.username, PW.password)})}),
    Case("credHelpers before credsStore", [cli({R: {}}, credsStore="test", credHelpers={R: "special"})], {IMAGE: PW},
         helpers={"test": store({R: (OTHER.username, OTHER.password)}), "special": store({R: (PW.username, PW.password)})}),
    Case("gcloud auth configure-docker", [json.dumps({"credHelpers": {R: "gcloud", "eu.gcr.example": "gcloud"}}, indent=2)],
         {IMAGE: PW, "eu.gcr.example/x": OTHER},
         helpers={"gcloud": store({R: (PW.username, PW.password), "eu.gcr.example": (OTHER.username, OTHER.password)})}),
    Case("a helper that gives a token", [cli({R: {}}, credsStore="test")], {IMAGE: TOKEN},
         helpers={"test": store({R: ("<token>", TOKEN.token)})}, kind="docker"),
    Case("a helper's answer in other letters, not ASCII", [cli({R: {}}, credHelpers={R: "test"})], {IMAGE: Auth("jürgen", "pä€")},
         helpers={"test": "#!/bin/sh\nread -r server\nprintf '%s' '{\"serverurl\":\"x\",\"username\":\"jürgen\",\"SECRET\":\"pä€\"}'\n"}),
    Case("a helper is queried for the registry, as Docker does, and not for the key", [cli({f"https://{R}/v2/": {}}, credsStore="test")],
         {IMAGE: PW}, helpers={"test": store({R: (PW.username, PW.password), f"https://{R}/v2/": ("other", "other")})}),
    Case("a helper that knows nothing", [cli({R: {}, "good.example": entry()}, credHelpers={R: "test"})],
         {IMAGE: None, "good.example/x": PW}, helpers={"test": store({})}, says="docker-credential-test"),
    Case("a helper that fails", [cli({"good.example": entry()}, credHelpers={R: "test"})],
         {IMAGE: None, "good.example/x": PW}, helpers={"test": "#!/bin/sh\necho no keyring >&2; exit 2\n"},
         says="docker-credential-test", problem=True),
    Case("a helper that is not there", [cli({"good.example": entry()}, credHelpers={R: "nowhere"})],
         {IMAGE: None, "good.example/x": PW}, says="docker-credential-nowhere", problem=True),
    Case("a helper that is not there, behind many entries that are left out", [cli(
        {f"{100000000000 + n}.dkr.ecr.eu-west-1.amazonaws.com": entry(Auth("AWS", "x")) for n in range(16)} | {
            "good.example": entry()}, credHelpers={R: "nowhere"})],
         {IMAGE: None, "good.example/x": PW}, says="docker-credential-nowhere", problem=True),
]

def given(name):
    """A file as people have reported it."""
    return (INPUTS / name).read_text()


def useless(name, images, says):
    """A key that the agent can match with no image: it is not written, and not counted."""
    return Case(name, [given(f"unmatchable-keys/{name}.json")], dict.fromkeys(images), kind=None, problem=True, says=says)


ACR_USER = "00000000-0000-0000-0000-000000000000"
ACR_TOKEN = "eyJhbGciOiJSUzI1NiJ9.eyJleHAiOjE3fQ.c2ln"
GCR_KEY = Auth("_json_key", '{\n  "type": "service_account",\n  "private_key": "-----BEGIN\\nABC\\n-----END\\n"\n}')
GCR_BASE64 = Auth("_json_key_base64", base64.b64encode(GCR_KEY.password.encode()).decode())
T_ENTRY = {"t.example": {"identitytoken": TOKEN.token}}

COVERAGE = [
    useless("docker_io_myorg", ["myorg/app", "docker.io/myorg/app"], "no image can use the login 'docker.io/myorg'"),
    useless("https___index_docker_io_v1_user", ["user/app", "docker.io/user/app"],
            "no image can use the login 'https://index.docker.io/v1/user'"),
    useless("__r_example_com", ["a.r.example.com/app", "r.example.com/app"], "no image can use the login '*.r.example.com'"),
    useless("helper-glob", ["a.example.com/app"], "credHelpers has the pattern '*.example.com'"),
    useless("myserver", ["myserver/app"], "no image can use the login 'myserver'"),
    Case("registry_hub_docker_com", [given("unmatchable-keys/registry_hub_docker_com.json")],
         {"registry.hub.docker.com/library/nginx": PW, "nginx": None, "org/app": None},
         says="no other image of Docker Hub uses it"),
    Case("a useless key beside a good one", [cli({"docker.io/myorg": entry(OTHER), HUB: entry()})], {"myorg/app": PW},
         says="no image can use the login 'docker.io/myorg'", problem=True),
    Case("the only key of a host", [cli({f"{R}/team": entry()})], {IMAGE: PW, f"{R}/rest/app": PW}),
    Case("a path with capital letters", [cli({R: entry(), f"{R}/Team": entry(OTHER)})], {IMAGE: PW}, problem=True,
         says=f"no image can use the login '{R}/Team'"),

    Case("gcr-beside-acr", [given("gcr-beside-acr/config.json")],
         {"gcr.io/p/app": GCR_KEY, "x.azurecr.io/app": Auth(ACR_USER, ACR_TOKEN)}),
    Case("gcr-beside-acr, key-alone", [given("gcr-beside-acr/key-alone.json")], {"gcr.io/p/app": GCR_KEY}),
    Case("an identity token of Azure, with AuthType=dockercfg", [cli({"x.azurecr.cn": {"identitytoken": ACR_TOKEN}})],
         {"x.azurecr.cn/app": Auth(ACR_USER, ACR_TOKEN)}, settings={"Agent.AuthType": "dockercfg"}),
    Case("a helper's identity token of Azure beside a key file", [cli({"https://gcr.io": entry(GCR_KEY)}, credHelpers={
        "x.azurecr.io": "test"})], {"gcr.io/p/app": GCR_KEY, "x.azurecr.io/app": Auth(ACR_USER, TOKEN.token)},
         helpers={"test": store({"x.azurecr.io": ("<token>", TOKEN.token)})}),
    Case("a key file beside another identity token", [cli({"gcr.io": entry(GCR_KEY), **T_ENTRY})],
         {"t.example/app": TOKEN, "gcr.io/p/app": None}, kind="docker", problem=True,
         says="docker login -u _json_key_base64 --password-stdin gcr.io"),
]

HELPERS += [
    Case("an empty value in credHelpers is the file", [compact({R: entry(OTHER)}, credHelpers={R: ""}, credsStore="test")], {IMAGE: OTHER},
         helpers={"test": store({R: (PW.username, PW.password)})}),
    Case("an empty value in credHelpers, and no entry", [compact({}, credHelpers={R: ""}, credsStore="test")],
         {IMAGE: None, "other.example/x": PW},
         helpers={"test": store({R: (PW.username, PW.password), "other.example": (PW.username, PW.password)})}),
    Case("the helper of Amazon ECR as a store", ['{"credsStore": "ecr-login"}'], {IMAGE: None}, kind=None,
         helpers={"ecr-login": "#!/bin/sh\necho no network >&2; exit 1\n"}, says="docker-credential-ecr-login is not queried"),
    Case("the helper of Amazon ECR as a store, if somebody wants ECR", ['{"credsStore": "ecr-login"}'], {"public.ecr.aws/x": PW},
         helpers={"ecr-login": store({"public.ecr.aws": (PW.username, PW.password)})}, settings={"Credentials.Exclude": ""}),
    Case("the helper of Amazon ECR for a host of its own", [compact({R: entry()}, credHelpers={"public.ecr.aws": "ecr-login"})],
         {IMAGE: PW}, helpers={"ecr-login": "#!/bin/sh\necho no network >&2; exit 1\n"}),
]

# One rule, wherever the key comes from.
EVERYWHERE = [
    *everywhere("a token of docker login in a browser", f"{HUB}access-token", never="access-token"),
    *everywhere("another token of it", "HTTPS://index.docker.io/v1/refresh-token", never="refresh-token"),
    *everywhere("a token of hub-tool", "hub-tool-refresh-token", never="refresh-token"),
    *everywhere("Amazon ECR", "123456789012.dkr.ecr.eu-west-1.amazonaws.com", never='"123456789012.dkr'),
    *everywhere("a host that is left out", "https://Left.Out.example/v2/", settings={"Credentials.Exclude": "left.OUT.*"},
                says="Left.Out.example is left out", never="https://Left"),
    *everywhere("Docker Hub, left out", HUB, settings={"Credentials.Exclude": "docker.io"}, says="is left out"),
    *everywhere("a key with a password", "https://me:hunter2@r.example", says="'r.example' is not the name", problem=True, never="hunter2"),
    *everywhere("a key with a password with a slash", "https://me:hunter/2@r.example", says="'r.example' is not the name", problem=True,
                never="hunter"),
    *everywhere("a key with a line of its own", "r.example\nECS_CLUSTER=evil", says="is not the name", problem=True, never="\nECS_CLUSTER=evil"),
]

CASES = [*FROM_TOOLS, *KEYS, *VALUES, *FILES, *HELPERS, *EVERYWHERE, *COVERAGE]
