"""Each provider against the real thing: files, the environment, a Vault's HTTP API, the tool pass with gpg."""

from __future__ import annotations

import os
import shutil
import subprocess
import tempfile
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from twisted.internet import reactor
from twisted.internet.defer import ensureDeferred
from twisted.trial.unittest import TestCase

from buildbot.config.errors import ConfigErrors
from buildbot.secrets.base import SecretProblem
from buildbot.secrets.environment import SecretInEnvironment
from buildbot.secrets.file import SecretInAFile
from buildbot.secrets.lookup import Secrets
from buildbot.secrets.passwordstore import SecretInPass
from buildbot.secrets.vault import (
    HashiCorpVaultKvSecretProvider,
    HashiCorpVaultSecretProvider,
    VaultAuthenticatorApprole,
    VaultAuthenticatorToken,
)
from tests.tools import require_tool
from tests.unit.secrets.vault_server import ROLE, VaultServer


def lookup(*providers: Any, **options: Any) -> Secrets:
    secrets = Secrets(reactor, **options)
    secrets.use(providers)
    return secrets


@pytest.fixture
def directory(tmp_path: Path) -> Iterator[Path]:
    tmp_path.chmod(0o700)
    for name, text in (("token", "hunter2\n"), ("key.txt", "line 1\nline 2\n\n"), ("spaces", " a b \r\n")):
        (tmp_path / name).write_bytes(text.encode())
        (tmp_path / name).chmod(0o600)
    yield tmp_path


class TestSecretInAFile:
    def test_the_file_of_the_name_without_its_last_newlines(self, directory: Path) -> None:
        provider = SecretInAFile(str(directory))
        assert [provider.get(name) for name in ("token", "key.txt", "spaces")] == ["hunter2", "line 1\nline 2", " a b "]
        assert provider.get("other") is None

    def test_strip_and_suffixes(self, directory: Path) -> None:
        assert SecretInAFile(str(directory), strip=False).get("token") == "hunter2\n"
        provider = SecretInAFile(str(directory), suffixes=[".pem", ".txt"])
        assert (provider.get("key"), provider.get("token"), provider.get("key.txt")) == ("line 1\nline 2", None, None)

    @pytest.mark.parametrize("name", ["../token", "/etc/passwd", "", ".", "..", "a\0b", "sub/x"])
    def test_names_are_no_paths(self, directory: Path, name: str) -> None:
        (directory / "sub").mkdir()
        (directory / "sub" / "x").write_text("x")
        assert SecretInAFile(str(directory)).get(name) is None

    def test_what_others_may_read_is_refused(self, directory: Path) -> None:
        provider = SecretInAFile(str(directory))
        (directory / "token").chmod(0o640)  # the group of the master's user is trusted
        assert provider.get("token") == "hunter2"
        for mode in (0o604, 0o602):
            (directory / "token").chmod(mode)
            with pytest.raises(Exception, match=r"other users have access to .*token: chmod o-rwx") as refused:
                provider.get("token")
            assert "hunter2" not in str(refused.value)
            with pytest.raises(ConfigErrors, match="chmod o-rwx"):
                SecretInAFile(str(directory))
        (directory / "token").chmod(0o600)
        directory.chmod(0o707)
        with pytest.raises(ConfigErrors, match="may write into"):
            SecretInAFile(str(directory))

    def test_mistakes(self, directory: Path) -> None:
        with pytest.raises(ConfigErrors, match="is not a directory: make it"):
            SecretInAFile(str(directory / "none"))
        with pytest.raises(ConfigErrors, match=r"a list of strings, such as \['.txt'\]"):
            SecretInAFile(str(directory), suffixes=".txt")
        with pytest.raises(ConfigErrors, match="needs the argument 'dirname'"):
            SecretInAFile()  # type: ignore[call-arg]
        (directory / "bytes").write_bytes(b"\xff\xfe")
        (directory / "bytes").chmod(0o600)
        with pytest.raises(Exception, match=r"no UTF-8 text in .*bytes; store it in base64"):
            SecretInAFile(str(directory)).get("bytes")


def test_the_environment() -> None:
    environ = {"BUILDBOT_SECRET_GITHUB_TOKEN": "t", "CI_X": "x", "HOME": "/"}
    provider = SecretInEnvironment(environ=environ)
    assert (provider.get("github-token"), provider.get("home")) == ("t", None)
    assert SecretInEnvironment("CI_", environ).get("x") == "x"
    with pytest.raises(ConfigErrors, match="the beginning of a variable's name"):
        SecretInEnvironment("")


class Vault(TestCase):
    timeout = 30

    def setUp(self) -> None:
        self.server = VaultServer()
        self.addCleanup(lambda: ensureDeferred(self.server.stop()))

    def provider(self, authenticator: Any = None, **options: Any) -> HashiCorpVaultKvSecretProvider:
        given = {"vault_server": self.server.address} | options
        return HashiCorpVaultKvSecretProvider(
            authenticator=authenticator or VaultAuthenticatorToken("the-root-token"), **given
        )

    async def problem(self, secrets: Secrets, name: str) -> str:
        try:
            value = await secrets.get(name)
        except SecretProblem as problem:
            assert problem.__cause__ is None
            return str(problem)
        raise AssertionError(value)

    async def test_a_key_at_a_path(self) -> None:
        self.server.kv2 = {"ci/deploy": {"password": "hunter2", "value": "v", "port": 22}, "a|b\\c d": {"x|y": "odd"}}
        secrets = lookup(self.provider())
        self.assertEqual(await secrets.get("ci/deploy|password"), "hunter2")
        self.assertEqual(await secrets.get("ci/deploy"), "v")
        self.assertEqual(await secrets.get("ci/deploy|port"), "22")
        self.assertIn("no key 'other' at secret/data/ci/deploy", await self.problem(secrets, "ci/deploy|other"))
        self.assertIn("there is no secret 'ci/none|x'", await self.problem(secrets, "ci/none|x"))
        self.assertIn("takes one '|'", await self.problem(secrets, "a|b|c"))
        self.assertIn("there is no secret", await self.problem(secrets, "../sys/seal|x"))

    async def test_names_with_escapes(self) -> None:
        self.server.kv2 = {"a%7Cb%5Cc%20d": {"x|y": "odd"}}
        self.assertEqual(await lookup(self.provider()).get(r"a\|b\\c d|x\|y"), "odd")
        other = self.provider(path_delimiter=":", path_escape="~")
        self.assertEqual(await lookup(other).get(r"a|b\c d:x|y"), "odd")

    async def test_version_1_and_other_mounts(self) -> None:
        self.server.kv1 = {"p": {"value": "one"}}
        self.assertEqual(await lookup(self.provider(secrets_mount="old", api_version=1)).get("p"), "one")
        older = HashiCorpVaultSecretProvider(self.server.address, "the-root-token", "old", 1)
        self.assertEqual(await lookup(older).get("p"), "one")

    async def test_an_approle_logs_in_and_again_when_its_token_has_ended(self) -> None:
        self.server.kv2 = {"p": {"value": "one"}}
        role = VaultAuthenticatorApprole(roleId=ROLE["role_id"], secretId=ROLE["secret_id"])
        secrets = lookup(self.provider(role), kept_seconds=0)
        self.assertEqual(await secrets.get("p"), "one")
        self.assertEqual(await secrets.get("p"), "one")
        self.server.tokens.clear()
        self.assertEqual(await secrets.get("p"), "one")
        self.assertEqual(self.server.asked.count("POST /v1/auth/approle/login"), 2)

    async def test_what_goes_wrong_is_said_without_the_token(self) -> None:
        wrong = VaultAuthenticatorApprole("the-role", "another-secret-id")
        self.assertIn("check roleId and secretId", await self.problem(lookup(self.provider(wrong)), "p"))
        denied = await self.problem(lookup(self.provider(VaultAuthenticatorToken("another-token"))), "p")
        self.assertIn("its token is not valid, or its policy does not allow it", denied)
        self.assertNotIn("another-token", denied)
        self.server.sealed = True
        self.assertIn("HTTP 503", sealed := await self.problem(lookup(self.provider()), "p"))
        self.assertIn("Vault is sealed", sealed)
        nobody = self.provider(vault_server="http://127.0.0.1:1")
        self.assertIn("cannot reach http://127.0.0.1:1", await self.problem(lookup(nobody), "p"))

    async def test_a_silent_vault_is_given_up(self) -> None:
        self.server.silent = True
        problem = await self.problem(lookup(self.provider(), provider_seconds=0.2), "p")
        self.assertIn("HashiCorpVaultKvSecretProvider did not answer within 0.2 s", problem)


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"vault_server": None}, "vault_server must be an address"),
        ({"vault_server": "vault:8200"}, "vault_server must be an address"),
        ({"authenticator": "token"}, r"authenticator must be VaultAuthenticatorToken"),
        ({"secrets_mount": "/"}, "secrets_mount"),
        ({"api_version": 3}, "api_version must be 1 or 2"),
        ({"path_delimiter": "::"}, "path_delimiter must be one character"),
        ({"path_delimiter": "\\"}, "must differ"),
    ],
)
def test_mistakes_in_the_arguments_of_vault(options: dict[str, Any], message: str) -> None:
    given = {"vault_server": "https://v:8200", "authenticator": VaultAuthenticatorToken("t")} | options
    with pytest.raises(ConfigErrors, match=message):
        HashiCorpVaultKvSecretProvider(**given)
    with pytest.raises(ConfigErrors, match="roleId and secretId"):
        VaultAuthenticatorApprole("role", "")


KEY = """\
%no-ask-passphrase
Key-Type: EDDSA
Key-Curve: ed25519
Subkey-Type: ECDH
Subkey-Curve: cv25519
Name-Real: Tests
Name-Email: tests@example.com
Expire-Date: 0
{protection}
%commit
"""


class Pass(TestCase):
    timeout = 120

    def setUp(self) -> None:
        require_tool("gpg", "gnupg")
        require_tool("pass", "pass")
        self.home = Path(tempfile.mkdtemp(prefix="pass-", dir="/tmp"))  # gpg-agent's socket has a short path
        self.addCleanup(shutil.rmtree, self.home, True)
        self.patch(os, "environ", dict(os.environ) | {"HOME": str(self.home), "GNUPGHOME": str(self.home / "g")})
        (self.home / "g").mkdir(mode=0o700)
        (self.home / "g" / "gpg-agent.conf").write_text("s2k-count 65536\n")  # the default takes ten seconds a key
        self.addCleanup(self.tool, "gpgconf", "--kill", "gpg-agent")

    def tool(self, *words: str, stdin: str = "") -> None:
        subprocess.run(words, input=stdin, text=True, check=True, capture_output=True, env=os.environ)

    def make_store(self, protection: str) -> None:
        self.tool("gpg", "--batch", "--gen-key", stdin=KEY.format(protection=protection))
        self.tool("pass", "init", "tests@example.com")
        self.tool("pass", "insert", "-m", "ci/token", stdin="hunter2\nurl: example.com\n")

    async def test_the_first_line_of_an_entry(self) -> None:
        self.make_store("%no-protection")
        provider = SecretInPass()
        self.assertEqual(await lookup(provider).get("ci/token"), "hunter2")
        for name in ("ci/none", "ci", "../x", "-c", "/etc/passwd", ""):
            try:
                found = await lookup(provider).get(name)
            except SecretProblem as problem:
                self.assertIn(f"there is no secret {name!r}; asked: SecretInPass", str(problem))
            else:
                self.fail(found)

    async def test_a_passphrase(self) -> None:
        self.make_store("Passphrase: open sesame")
        self.tool("gpgconf", "--kill", "gpg-agent")  # it knows the passphrase
        store = str(self.home / ".password-store")
        with self.assertRaises(SecretProblem) as wrong:
            await lookup(SecretInPass(gpgPassphrase="wrong", dirname=store)).get("ci/token")
        self.assertIn("could not decrypt it: pass ended with", str(wrong.exception))
        self.assertEqual(await lookup(SecretInPass("open sesame", store)).get("ci/token"), "hunter2")

    def test_mistakes(self) -> None:
        with self.assertRaises(ConfigErrors) as wrong:
            SecretInPass()
        self.assertIn("make it with `pass init KEY`", str(wrong.exception))
        (self.home / ".password-store").mkdir()
        with self.assertRaises(ConfigErrors) as wrong:
            SecretInPass("two\nlines")
        self.assertIn("one line", str(wrong.exception))
