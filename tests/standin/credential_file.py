# SPDX-License-Identifier: Apache-2.0
"""The Docker credential file, written as Docker's CLI writes it."""

import base64
import json
import os
import secrets


def encode(user, password):
    return base64.b64encode(f"{user}:{password}".encode()).decode()


class CredentialFile:
    def __init__(self, path):
        self.path = path

    def replace(self, text):
        """A temporary file beside it, and a rename over it (or over the target of a symbolic link)."""
        target = self.path.resolve() if self.path.is_symlink() else self.path
        target.parent.mkdir(mode=0o700, parents=True, exist_ok=True)
        temporary = target.with_name(f"{target.name}{secrets.randbelow(10**9)}")
        with open(temporary, "w", encoding="utf-8", opener=lambda p, flags: os.open(p, flags, 0o600)) as f:
            f.write(text)
        temporary.rename(target)

    def entries(self):
        return json.loads(self.path.read_text())["auths"] if self.path.exists() else {}

    def login(self, registry, user, password):
        """What `docker login` leaves behind."""
        self.replace(self.text({**self.entries(), registry: {"auth": encode(user, password)}}))

    def logout(self, registry):
        self.replace(self.text({k: v for k, v in self.entries().items() if k != registry}))

    @staticmethod
    def text(entries):
        return json.dumps({"auths": entries}, indent="\t")
