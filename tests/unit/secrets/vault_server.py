"""A small server that speaks as much of Vault's HTTP API as the provider uses, as Vault documents it."""

from __future__ import annotations

import json
from typing import Any

from twisted.internet import reactor
from twisted.web.resource import Resource
from twisted.web.server import Site

ROLE = {"role_id": "the-role", "secret_id": "the-secret-id"}


class VaultServer(Resource):
    """`tokens` are valid; `kv2` and `kv1` hold {path: {key: value}} at the mounts `secret` and `old`."""

    isLeaf = True

    def __init__(self) -> None:
        super().__init__()
        self.tokens = {"the-root-token"}
        self.kv2: dict[str, dict[str, Any]] = {}
        self.kv1: dict[str, dict[str, Any]] = {}
        self.asked: list[str] = []
        self.silent = False
        self.sealed = False
        self._logins = 0
        listening: Any = reactor
        self._port = listening.listenTCP(0, Site(self), interface="127.0.0.1")
        self.address = f"http://127.0.0.1:{self._port.getHost().port}"

    async def stop(self) -> None:
        await self._port.stopListening()

    def render(self, request: Any) -> Any:
        path = request.path.decode()
        self.asked.append(f"{request.method.decode()} {path}")
        if self.silent:
            return 1  # NOT_DONE_YET
        request.setHeader("content-type", "application/json")
        code, answer = self._answer(request, path)
        request.setResponseCode(code)
        return json.dumps(answer).encode()

    def _answer(self, request: Any, path: str) -> tuple[int, Any]:
        if self.sealed:
            return 503, {"errors": ["Vault is sealed"]}
        if path == "/v1/auth/approle/login":
            if json.load(request.content) != ROLE:
                return 400, {"errors": ["invalid role or secret ID"]}
            self._logins += 1
            self.tokens.add(f"token-{self._logins}")
            return 200, {"auth": {"client_token": f"token-{self._logins}", "lease_duration": 1200, "renewable": True}}
        if request.getHeader("X-Vault-Token") not in self.tokens:
            return 403, {"errors": ["permission denied"]}
        for mount, store, version in (("/v1/secret/data/", self.kv2, 2), ("/v1/old/", self.kv1, 1)):
            if path.startswith(mount):
                values = store.get(path.removeprefix(mount))
                if values is None:
                    return 404, {"errors": []}
                data = {"data": values, "metadata": {"version": 1, "destroyed": False}} if version == 2 else values
                return 200, {"request_id": "x", "lease_id": "", "renewable": False, "data": data}
        return 404, {"errors": [f'no handler for route "{path}"']}
