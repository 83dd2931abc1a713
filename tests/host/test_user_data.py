# SPDX-License-Identifier: Apache-2.0
"""The user data of packaging/recipes, run by a real cloud-init at the first boot of a host whose image has the agent and not
ecs-authd. What AWS and Amazon Linux have there are stand-ins: the bucket, the secret, dnf."""

import json
import shutil

import pytest

from host_parts import TOP, credentials_for, wait_for

RECIPES = TOP / "packaging/recipes"

AWS = """#!/bin/sh
case "$1 $2" in
"s3 cp") exec cp "/root/bucket/${3#s3://example-bucket/}" "$4" ;;
"secretsmanager get-secret-value") exec cat /root/secret ;;
esac
exit 2
"""

# The package of Debian, under the name of the other.
DNF = """#!/bin/sh
for package; do :; done
[ "$package" != jq ] || exit 0  # it is there
cp "$package" /root/ecs-authd.deb && exec apt-get -q -y install /root/ecs-authd.deb
"""


# What needs more than the smallest host (locales, a package mirror) is left out.
CLOUD_INIT = """datasource_list: [NoCloud]
datasource: {NoCloud: {}}
network: {config: disabled}
cloud_init_modules: [write-files]
cloud_config_modules: [runcmd]
cloud_final_modules: [scripts-user]
"""


@pytest.fixture(scope="module", name="host")
def boot_host(make_host, registry, package):
    h = make_host(extra=("cloud-init", "jq"), installed=False)
    user_data = (RECIPES / "deploy-user-data.yml").read_text().replace("registry.example.com", registry.name)
    h.write("/var/lib/cloud/seed/nocloud/user-data", user_data)
    h.write("/var/lib/cloud/seed/nocloud/meta-data", "instance-id: i-1\n")
    h.write("/etc/cloud/cloud.cfg.d/99-test.cfg", CLOUD_INIT)
    # Debian's is after multi-user.target, which wants ecs.service; that of Amazon Linux is not.
    h.write("/etc/systemd/system/cloud-final.service",
            (h.root / "lib/systemd/system/cloud-final.service").read_text().replace("After=multi-user.target\n", ""))
    h.write("/etc/systemd/system/ecs.service.d/after.conf", "[Unit]\nAfter=cloud-final.service\n")
    h.write("/root/secret", json.dumps({"username": registry.user, "password": registry.password}), 0o600)
    h.write("/usr/local/bin/aws", AWS, 0o755)
    h.write("/usr/bin/dnf", DNF, 0o755)
    (h.root / "root/bucket").mkdir()
    shutil.copy(package, h.root / "root/bucket/ecs-authd.rpm")
    shutil.copy(RECIPES / "docker-credential-aws-secrets", h.root / "root/bucket")
    h.boot()
    yield h
    h.power_off()


def test_the_schema(host):
    said = host.shell("cloud-init schema --config-file /var/lib/cloud/seed/nocloud/user-data 2>&1")
    assert "Valid" in said, said


def test_the_first_start_of_the_agent_has_the_credentials(host, engine, registry):
    """Nothing waits for itself, and nothing is restarted."""
    assert "status: done" in host.run("cloud-init", "status", "--wait", check=False)
    agent = wait_for(engine.running_agent, 30, "the agent runs", host.tail)
    assert credentials_for(agent, registry.name) == (registry.user, registry.password), host.tail()
    host.wait_said("runs with the credentials of 1 registry")
    assert host.restarts() == 0
    assert host.run("stat", "--format=%a", "/etc/ecs/ecs.config").strip() == "600"
    assert "ECS_CLUSTER=web" in host.read("/etc/ecs/ecs.config")
    assert host.run("systemctl", "is-enabled", "ecs-authd").strip() == "enabled"
