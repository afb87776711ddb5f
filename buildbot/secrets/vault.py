"""Secrets of HashiCorp Vault, or of OpenBao, which speaks the same: the key-value engine over Vault's HTTP API.

    POST /v1/auth/approle/login        {"role_id": ..., "secret_id": ...} -> {"auth": {"client_token": ...}}
    GET  /v1/MOUNT/data/PATH           -> {"data": {"data": {key: value, ...}, ...}}       version 2 of the engine
    GET  /v1/MOUNT/PATH                -> {"data": {key: value, ...}}                      version 1

The token is in the header `X-Vault-Token`. 404 says that there is no such path, or that it was deleted; 403 that the
token is not valid (any more) or may not read the path, which Vault does not tell apart.
"""

from __future__ import annotations

import json
from typing import Any
from urllib.parse import quote, urlsplit

from treq import collect
from treq.client import HTTPClient
from twisted.internet.defer import CancelledError
from twisted.web.client import Agent, HTTPConnectionPool

from buildbot.config.arguments import configurable
from buildbot.config.errors import error, is_text, warning
from buildbot.secrets.base import ProviderFailed, SecretProviderBase

CONNECT_SECONDS = 10.0
MOST_ANSWER = 1 << 20
DEFAULT_KEY = "value"


class VaultAuthenticator:
    """How the master proves to Vault who it is."""

    renews = False  # whether asking again may give a better token

    async def token(self, post: Any) -> str:
        """A token. `post(path, body)` asks Vault and gives the decoded answer."""
        raise NotImplementedError


@configurable
class VaultAuthenticatorToken(VaultAuthenticator):
    """By a token that Vault has issued. token: the token; whoever issued it sees to it that it does not expire."""

    def __init__(self, token: str) -> None:
        self._token = token
        if not is_text(token) or not token:
            error("VaultAuthenticatorToken(): token must be a non-empty string")

    async def token(self, post: Any) -> str:
        return self._token


@configurable
class VaultAuthenticatorApprole(VaultAuthenticator):
    """By an AppRole, from which a token is made whenever one is needed. roleId, secretId: as Vault gave them."""

    renews = True

    def __init__(self, roleId: str, secretId: str) -> None:
        self._login = {"role_id": roleId, "secret_id": secretId}
        if not all(is_text(value) and value for value in self._login.values()):
            error("VaultAuthenticatorApprole(): roleId and secretId must be non-empty strings")

    async def token(self, post: Any) -> str:
        answer = await post("auth/approle/login", self._login)
        token = _at(answer, "auth", "client_token")
        if not isinstance(token, str):
            raise ProviderFailed("did not log in with its AppRole: check roleId and secretId")
        return token


@configurable
class HashiCorpVaultKvSecretProvider(SecretProviderBase):
    """Secrets of Vault's key-value engine. `Secret('path/of/it|key')` is one key of the secret at a path.

    vault_server: its address, such as 'https://vault.example.com:8200'. authenticator: VaultAuthenticatorToken or
    VaultAuthenticatorApprole. secrets_mount: where the engine is mounted (default 'secret'). api_version: of the
    engine, 2 or 1. path_delimiter: between path and key; a name without it means the key `value`. path_escape: before
    a delimiter, or before itself, that belongs to the name.
    """

    name = "HashiCorpVaultKvSecretProvider"

    def __init__(
        self,
        vault_server: str | None = None,
        authenticator: VaultAuthenticator | None = None,
        secrets_mount: str | None = None,
        api_version: int = 2,
        path_delimiter: str = "|",
        path_escape: str = "\\",
    ) -> None:
        what = type(self).__name__
        self._server = ""
        self._authenticator = authenticator
        self._mount = "secret" if secrets_mount is None else secrets_mount
        self._version = api_version
        self._delimiter, self._escape = path_delimiter, path_escape
        self._http: HTTPClient | None = None
        self._token: str | None = None
        if not isinstance(vault_server, str) or urlsplit(vault_server).scheme not in ("http", "https"):
            error(f"{what}(): vault_server must be an address such as 'https://vault.example.com:8200'")
        else:
            self._server = vault_server.rstrip("/")
        if not isinstance(authenticator, VaultAuthenticator):
            error(f"{what}(): authenticator must be VaultAuthenticatorToken(...) or VaultAuthenticatorApprole(...)")
        if not is_text(self._mount) or not self._mount.strip("/"):
            error(f"{what}(): secrets_mount must be a path such as 'secret'")
        if api_version not in (1, 2):
            error(f"{what}(): api_version must be 1 or 2, not {api_version!r}")
        for argument, value in (("path_delimiter", path_delimiter), ("path_escape", path_escape)):
            if not is_text(value) or len(value) != 1:
                error(f"{what}(): {argument} must be one character, not {value!r}")
        if path_delimiter == path_escape:
            error(f"{what}(): path_delimiter and path_escape must differ")

    def setup(self, reactor: Any) -> None:
        self.reactor = reactor
        pool = HTTPConnectionPool(reactor, persistent=False)
        self._http = HTTPClient(Agent(reactor, connectTimeout=CONNECT_SECONDS, pool=pool))

    async def get(self, entry: str) -> str | None:
        path, key = self._split(entry)
        if not path or ".." in path.split("/"):
            return None
        where = "/".join([self._mount.strip("/"), *(["data"] if self._version == 2 else []), path])
        status, answer = await self._read(where)
        if status == 403 and self._authenticator is not None and self._authenticator.renews:
            self._token = None  # it may have expired
            status, answer = await self._read(where)
        if status == 404:
            return None
        if status == 403:
            raise ProviderFailed(f"may not read {where}: its token is not valid, or its policy does not allow it")
        if status != 200:
            raise ProviderFailed(f"was answered with HTTP {status} by {self._server}{_words_of(answer)}")
        values = _at(answer, "data", "data") if self._version == 2 else _at(answer, "data")
        if not isinstance(values, dict):
            raise ProviderFailed(f"found no keys at {where}: check secrets_mount and api_version")
        if key not in values:
            raise ProviderFailed(f"found no key {key!r} at {where}; write 'path{self._delimiter}key'")
        value = values[key]
        return value if isinstance(value, str) else json.dumps(value)

    def _split(self, entry: str) -> tuple[str, str]:
        """Path and key. Raises ProviderFailed for a name with two delimiters."""
        parts, escaped = [""], False
        for character in entry:
            if escaped or character not in (self._delimiter, self._escape):
                parts[-1] += character
                escaped = False
            elif character == self._escape:
                escaped = True
            else:
                parts.append("")
        if len(parts) > 2:
            raise ProviderFailed(
                f"takes one {self._delimiter!r} in a name, between path and key; write {self._escape}{self._delimiter} "
                "for one that belongs to them"
            )
        return parts[0].strip("/"), parts[1] if len(parts) == 2 else DEFAULT_KEY

    async def _read(self, where: str) -> tuple[int, Any]:
        assert self._authenticator is not None
        if self._token is None:
            self._token = await self._authenticator.token(self._post)
        return await self._ask("GET", where, headers={"X-Vault-Token": self._token})

    async def _post(self, path: str, body: Any) -> Any:
        status, answer = await self._ask("POST", path, json=body)
        if status >= 500:
            raise ProviderFailed(f"could not log in: HTTP {status} from {self._server}{_words_of(answer)}")
        return answer

    async def _ask(self, method: str, path: str, **options: Any) -> tuple[int, Any]:
        assert self._http is not None
        url = f"{self._server}/v1/{quote(path)}"
        try:
            response = await self._http.request(method, url, allow_redirects=False, unbuffered=True, **options)
            body = bytearray()
            await collect(response, lambda data: body.extend(data[: MOST_ANSWER - len(body)]))
        except CancelledError:
            raise
        except NotImplementedError:  # Twisted's answer where pyOpenSSL is missing
            raise ProviderFailed("needs pyOpenSSL and service-identity for https: install the extra 'tls'") from None
        except Exception as problem:
            raise ProviderFailed(f"cannot reach {self._server}: {type(problem).__name__} {problem}"[:300]) from None
        try:
            return response.code, json.loads(bytes(body)) if body else None
        except ValueError:
            return response.code, None


@configurable
class HashiCorpVaultSecretProvider(HashiCorpVaultKvSecretProvider):
    """The older name, of Buildbot 0.9 to 3: as HashiCorpVaultKvSecretProvider, with a token.

    vaultServer, vaultToken: address and token. secretsmount: default 'secret'. apiVersion: of the engine, 1 or 2.
    """

    name = "HashiCorpVaultSecretProvider"

    def __init__(
        self,
        vaultServer: str | None = None,
        vaultToken: str | None = None,
        secretsmount: str | None = None,
        apiVersion: int = 1,
    ) -> None:
        warning("HashiCorpVaultSecretProvider() is the older name of HashiCorpVaultKvSecretProvider()")
        if not isinstance(vaultToken, str) or not vaultToken:
            error("HashiCorpVaultSecretProvider(): vaultToken must be a non-empty string")
        token = VaultAuthenticatorToken(vaultToken or "missing")
        super().__init__(vaultServer, token, secretsmount, apiVersion)


def _at(answer: Any, *keys: str) -> Any:
    for key in keys:
        answer = answer.get(key) if isinstance(answer, dict) else None
    return answer


def _words_of(answer: Any) -> str:
    """What Vault says is wrong."""
    errors = _at(answer, "errors")
    words = "; ".join(str(each) for each in errors if each) if isinstance(errors, list) else ""
    return f": {words[:200]}" if words else ""
