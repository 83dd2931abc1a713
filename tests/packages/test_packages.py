# SPDX-License-Identifier: Apache-2.0
"""What `make install`, `make deb` and `make rpm` make, as far as no host is needed: its life there is tests/host/test_package.py."""

import hashlib
import os
import re
import shutil
import subprocess
import tempfile
from pathlib import Path

import pytest

TOP = Path(__file__).resolve().parents[2]
ECS_AUTHD = os.environ.get("ECS_AUTHD", TOP / "build/ecs-authd")
VERSION = subprocess.run(["make", "-s", "version"], cwd=TOP, check=True, text=True, capture_output=True).stdout.strip()
RELEASE = VERSION.split("~")[0]

# For rpmbuild elsewhere than on Fedora: what systemd-rpm-macros has there, as the words that it was called with.
MACROS = """%_unitdir /usr/lib/systemd/system
%systemd_requires Requires(post): systemd
%systemd_post() : systemd_post %{?*}
%systemd_preun() : systemd_preun %{?*}
%systemd_postun_with_restart() : systemd_postun_with_restart %{?*}
%journal_catalog_update : journal_catalog_update
"""

# The newest that Amazon Linux 2023 and Ubuntu 22.04 both have. The C library gives each build the newest that it has itself.
OLDEST = {"JSONC": (0, 14), "LIBSYSTEMD": (249,), "OPENSSL": (3, 0, 0)}


def run(*command, **kwargs):
    result = subprocess.run(command, check=False, text=True, capture_output=True, **{"cwd": TOP, **kwargs})
    assert result.returncode == 0, f"{command}: {result.returncode}\n{(result.stdout + result.stderr)[-3000:]}"
    return result.stdout


def needs(*programs):
    missing = [program for program in programs if not shutil.which(program)]
    if missing:
        pytest.skip(f"needs {', '.join(missing)}")


def build_deb(directory):
    needs("dpkg-buildpackage", "dh")
    return Path(run("packaging/build-deb", RELEASE, directory, env=dict(os.environ, DEB_BUILD_OPTIONS="nocheck")).split()[-1])


def copy_source(directory):
    run("tar", "-cf", directory / "source.tar", "-T", "-", input=run("packaging/list-files"))
    run("tar", "-xf", "source.tar", cwd=directory)


@pytest.fixture(scope="module", name="deb")
def make_deb(tmp_path_factory):
    """As README says, as root, with the unit tests that belong to the build. They cannot write to /usr/local/bin, which is read-only:
    other test levels write there at the same time."""
    needs("dpkg-buildpackage", "dh")
    directory = tmp_path_factory.mktemp("deb")
    copy_source(directory)
    read_only = "mount --bind /usr/local/bin /usr/local/bin && mount -o remount,bind,ro /usr/local/bin"
    return Path(run("unshare", "--mount", "sh", "-c", f'{read_only} && exec "$@"', "sh", "make", "-s", "deb", cwd=directory,
                    timeout=600).split()[-1])


@pytest.fixture(scope="module", name="rpms")
def make_rpms(tmp_path_factory):
    needs("rpmbuild", "scdoc")
    directory = tmp_path_factory.mktemp("rpm")
    (directory / "macros").write_text(MACROS)
    # Debian's rpm knows none of the packages here; and the unit level has run.
    run("packaging/build-rpm", VERSION, directory / "build", "-ba", "--nodeps", "--nocheck", "--define", "debug_package %{nil}", "--load",
        directory / "macros")
    return {"source": next(directory.rglob("*.src.rpm")), "spec": next(directory.rglob("*.spec")),
            "binary": next(path for path in directory.rglob("ecs-authd-0*.rpm") if ".src." not in path.name)}


# --- one version ---


def test_one_version(deb):
    assert re.search(r"^## (\S+) \(\d{4}-\d\d-\d\d\)$", (TOP / "CHANGELOG.md").read_text(), re.M).group(1) == RELEASE
    assert run(ECS_AUTHD, "--version") == f"ecs-authd {VERSION}\n"
    # A source without a repository has the version of the release.
    assert run("dpkg-deb", "-f", deb, "Version").strip() == RELEASE
    assert re.fullmatch(r"\d+\.\d+\.\d+(~\d+\.g[0-9a-f]{7})?", VERSION)


def test_release_refuses(tmp_path):
    """Without a key, and from a checkout with changes. What an earlier release made stays."""
    def release(key, cwd):
        return subprocess.run([cwd / "packaging/release", "1.0", tmp_path / "release", key], cwd=cwd, check=False, text=True,
                              capture_output=True)
    assert "KEY= is missing" in release("", TOP).stderr
    assert "gpg has no secret key 'nobody@nowhere'" in release("nobody@nowhere", TOP).stderr
    source = tmp_path / "source"
    source.mkdir()
    copy_source(source)
    run("git", "init", "-q", cwd=source)
    assert "changes that are not committed" in release("none", source).stderr
    (tmp_path / "release").mkdir()
    (tmp_path / "release/ecs-authd-1.0.tar.gz").touch()
    run("git", "add", "-A", cwd=source)
    run("git", "-c", "user.name=a", "-c", "user.email=a@b", "commit", "-qm", "a", cwd=source)
    assert "has version 1.0 already" in release("none", source).stderr


# --- what older systems have ---


def test_symbols_are_old_enough():
    """Each is of a version that all targets have: a library names the version of each symbol that it has given out."""
    needs("objdump")
    used = re.findall(r"\(?\b(JSONC|LIBSYSTEMD|OPENSSL)_([0-9.]+)\)?", run("objdump", "-T", ECS_AUTHD))
    assert {library for library, _ in used} == set(OLDEST)
    newer = {f"{library} {version}" for library, version in used if tuple(map(int, version.split("."))) > OLDEST[library]}
    assert not newer


def test_the_unit_knows_only_what_systemd_knows(tmp_path):
    """Debian 12 has the version of Amazon Linux 2023: 252."""
    needs("systemd-analyze")
    run("make", "-s", "install", f"DESTDIR={tmp_path}", "PREFIX=/usr")
    unit = tmp_path / "ecs-authd.service"
    unit.write_text((tmp_path / "usr/lib/systemd/system/ecs-authd.service").read_text().replace("/usr/bin/ecs-authd", "/bin/true"))
    result = subprocess.run(["systemd-analyze", "verify", "--man=no", unit], check=False, text=True, capture_output=True)
    assert "ecs-authd.service" not in result.stderr, result.stderr


# --- make install ---


def files_in(directory):
    return {str(path.relative_to(directory)) for path in directory.rglob("*") if path.is_file()}


@pytest.mark.parametrize("prefix", ["/usr", "/usr/local", "/opt/ecs-authd"])
def test_install_and_uninstall(tmp_path, prefix):
    """After a plain make: the unit starts the program that was installed."""
    where = [f"DESTDIR={tmp_path}", f"PREFIX={prefix}"]
    run("make", "-s", "install", *where)
    unit = (tmp_path / prefix[1:] / "lib/systemd/system/ecs-authd.service").read_text()
    program = re.search(r"^ExecStart=(\S+) run$", unit, re.M).group(1)
    assert run(f"{tmp_path}{program}", "--version") == f"ecs-authd {VERSION}\n" and "@" not in re.sub(r"~@|=@|\s@", "", unit)
    run("make", "-s", "uninstall", *where)
    assert files_in(tmp_path) == {"etc/ecs-authd.conf"}


def test_uninstall_where_nothing_is(tmp_path):
    assert "with another PREFIX=?" in run("make", "-s", "uninstall", f"DESTDIR={tmp_path}")


@pytest.mark.parametrize("build", ["build-deb", "build-rpm"])
def test_without_what_it_needs(tmp_path, build):
    """It says so, and what an earlier run made stays."""
    for name in ("sh", "ls"):
        (tmp_path / name).symlink_to(shutil.which(name))
    earlier = tmp_path / "build" / "earlier"
    earlier.parent.mkdir()
    earlier.touch()
    result = subprocess.run([TOP / "packaging" / build, VERSION, earlier.parent], check=False, text=True, capture_output=True,
                            cwd=TOP, env={"PATH": str(tmp_path)})
    assert result.returncode == 1 and result.stderr.startswith("There is no "), result
    assert earlier.exists()


def test_gnu_directory_variables(tmp_path):
    run("make", "-s", "install", f"DESTDIR={tmp_path}", "prefix=/p", "bindir=/b", "mandir=/m", "unitdir=/u", "catalogdir=/c",
        "completiondir=/d")
    installed = files_in(tmp_path)
    assert {"b/ecs-authd", "u/ecs-authd.service", "c/ecs-authd.catalog", "d/ecs-authd", "m/man8/ecs-authd.8"} <= installed
    assert not {path for path in installed if path.startswith("usr/")}
    assert "ExecStart=/b/ecs-authd run" in (tmp_path / "u/ecs-authd.service").read_text()


# --- the packages ---


def test_deb(deb):
    listed = set(re.findall(r" \./(\S*[^/\s])$", run("dpkg-deb", "-c", deb), re.M))
    assert {re.sub(r"^usr/lib/systemd/system|^lib/systemd/system", "UNITS", path) for path in listed} == {
        "UNITS/ecs-authd.service", "etc/ecs-authd.conf", "usr/bin/ecs-authd", "usr/lib/systemd/catalog/ecs-authd.catalog",
        "usr/share/bash-completion/completions/ecs-authd", "usr/share/doc/ecs-authd/changelog.gz",
        "usr/share/doc/ecs-authd/copyright", "usr/share/lintian/overrides/ecs-authd", "usr/share/man/man5/ecs-authd.conf.5.gz",
        "usr/share/man/man7/ecs-authd-troubleshooting.7.gz", "usr/share/man/man8/ecs-authd.8.gz"}
    assert run("dpkg-deb", "-I", deb, "conffiles").strip() == "/etc/ecs-authd.conf"


def test_deb_by_an_ordinary_user(deb):
    """The unit tests that need root are skipped, and the package is the same."""
    if os.geteuid() != 0:
        pytest.skip("needs root, to become an ordinary user")
    with tempfile.TemporaryDirectory(dir="/var/tmp") as name:
        directory = Path(name)
        copy_source(directory)
        run("chown", "-R", "nobody", directory)
        path = run("setpriv", "--reuid=nobody", "--regid=nogroup", "--clear-groups", "make", "-s", "deb", cwd=directory, timeout=600,
                   env=dict(os.environ, HOME=name)).split()[-1]
        assert digest(path) == digest(deb)


def test_lintian(deb):
    """Whatever it says is overridden with a reason."""
    needs("lintian")
    said = subprocess.run(["lintian", "--pedantic", "--allow-root", deb], check=False,
                          text=True, capture_output=True)
    assert said.returncode == 0 and not re.findall(r"^[A-Z]: .*$", said.stdout, re.M), said.stdout + said.stderr


def test_rpm(rpms):
    listed = {path.removesuffix(".gz") for path in run("rpm", "-qpl", rpms["binary"]).splitlines() if ".build-id" not in path and "/doc/" not in path}
    assert listed - {f"/usr/share/licenses/ecs-authd-{VERSION}"} == {
        "/etc/ecs", "/etc/ecs-authd.conf", "/etc/ecs-authd.conf.d", "/usr/bin/ecs-authd",
        "/usr/lib/systemd/catalog/ecs-authd.catalog", "/usr/lib/systemd/system/ecs-authd.service",
        "/usr/share/bash-completion/completions/ecs-authd", f"/usr/share/licenses/ecs-authd-{VERSION}/LICENSE",
        "/usr/share/man/man5/ecs-authd.conf.5", "/usr/share/man/man7/ecs-authd-troubleshooting.7",
        "/usr/share/man/man8/ecs-authd.8"}
    assert run("rpm", "-qpc", rpms["binary"]).strip() == "/etc/ecs-authd.conf"
    scripts = run("rpm", "-qp", "--scripts", rpms["binary"])
    for macro in ("systemd_post", "systemd_preun", "systemd_postun_with_restart"):
        assert f": {macro} ecs-authd.service" in scripts
    assert scripts.count("journal_catalog_update") == 2


def test_rpm_needs_what_amazon_linux_has(rpms):
    """Its names: what builds there is what install-dependencies installs there."""
    wanted = set(run("rpm", "-qp", "--requires", rpms["source"]).split("\n")) - {""}
    wanted = {name for name in wanted if not name.startswith("rpmlib(")}
    assert wanted == {"gcc", "make", "inotify-tools-devel", "systemd-rpm-macros", "pkgconfig(cmocka)", "pkgconfig(inih)",
                      "pkgconfig(json-c)", "pkgconfig(libcrypto)", "pkgconfig(libcurl)", "pkgconfig(libsystemd)"}
    known = re.search(r'^build_dnf="(.*)"$', (TOP / "packaging/install-dependencies").read_text(), re.M).group(1).split()
    assert set(known) == {"gcc", "make", "pkgconf-pkg-config", "systemd-devel", "json-c-devel", "inotify-tools-devel", "libcurl-devel",
                          "openssl-devel", "inih-devel"}


def test_rpmlint(rpms):
    needs("rpmlint")
    said = subprocess.run(["rpmlint", "-c", TOP / "packaging/rpm/rpmlint.toml", *rpms.values()], check=False, text=True,
                          capture_output=True)
    assert said.returncode == 0 and " 0 errors, 0 warnings" in said.stdout, said.stdout


# --- the same bytes ---


def digest(path):
    return hashlib.sha256(Path(path).read_bytes()).hexdigest()


def test_reproducible(tmp_path, deb):
    """In another directory, with other names for the parallel jobs, in another zone and language."""
    again = build_deb(tmp_path / "a-longer-name-for-it")
    assert digest(again) == digest(deb)


def test_reproducible_program(tmp_path):
    programs = []
    for name in ("one", "another"):
        directory = tmp_path / name
        directory.mkdir()
        copy_source(directory)
        run("make", "-s", "-j2", "all", cwd=directory, env=dict(os.environ, TZ="Asia/Tokyo" if programs else "UTC"))
        programs.append(digest(directory / "build/ecs-authd"))
    assert programs[0] == programs[1]
