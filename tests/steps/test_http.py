"""Steps that make HTTP requests, of a real server."""

from __future__ import annotations

import json
import subprocess
from typing import Any

from twisted.internet import reactor
from twisted.internet.defer import Deferred, maybeDeferred
from twisted.internet.endpoints import serverFromString
from twisted.web.resource import Resource
from twisted.web.server import NOT_DONE_YET, Site

from buildbot.config.errors import ConfigErrors
from buildbot.process.properties import Interpolate, Property, Secret
from buildbot.process.results import CANCELLED, FAILURE, SUCCESS
from buildbot.secrets.base import SecretProviderBase
from buildbot.steps.http import DELETE, GET, HEAD, OPTIONS, POST, PUT, HTTPStep
from buildbot.steps.httpclient import MOST_ANSWER
from tests.rig import Built
from tests.steps.case import StepsCase

running: Any = reactor


class Echo(Resource):
    """Tells in JSON what it was asked."""

    isLeaf = True

    def __init__(self) -> None:
        super().__init__()
        self.asked = 0

    def render(self, request: Any) -> Any:
        self.asked += 1
        path = request.path.decode()
        if path == "/slow":
            return NOT_DONE_YET
        if path == "/big":
            return b"x" * (MOST_ANSWER + 7)
        if path == "/elsewhere":
            request.redirect(b"/there")
            return b""
        if path.startswith("/status/"):
            request.setResponseCode(int(path.rpartition("/")[2]))
        request.setHeader(b"Content-Type", b"application/json; charset=utf-8")
        request.addCookie(b"session", b"cookie-of-the-server")
        headers = request.requestHeaders.getAllRawHeaders()
        told = {
            "method": request.method.decode(),
            "path": request.uri.decode(),
            "body": request.content.read().decode("latin-1"),
            "user": request.getUser().decode(),
            "headers": {name.decode(): values[0].decode() for name, values in headers},
        }
        return json.dumps(told).encode()


class Known(SecretProviderBase):
    name = "known"

    def get(self, entry: str) -> str | None:
        return {"token": "s3cr3t-token"}.get(entry)


class TestHTTP(StepsCase):
    async def setUp(self) -> None:
        await maybeDeferred(super().setUp)
        self.echo = Echo()
        self.port = running.listenTCP(0, Site(self.echo), interface="127.0.0.1")
        self.addCleanup(self.port.stopListening)
        self.url = f"http://127.0.0.1:{self.port.getHost().port}"

    def told(self, built: Built, step: str) -> Any:
        return json.loads(built.text(step, "content"))

    async def test_every_method_and_what_it_sends(self) -> None:
        built = await self.run_steps(
            GET(Interpolate(f"{self.url}/%(prop:buildername)s"), params={"a": Property("buildnumber")}, name="get"),
            POST(f"{self.url}/p", data={"key": "value"}, headers={"X-Mine": "yes"}, name="post"),
            PUT(f"{self.url}/p", json={"a": [1, None]}, auth=("ada", "pw"), name="put"),
            DELETE(f"{self.url}/p", cookies={"c": "1"}, name="delete"),
            OPTIONS(f"{self.url}/p", name="options"),
            HEAD(f"{self.url}/p", name="head"),
            HTTPStep(f"{self.url}/p", "POST", files={"up": ("a.txt", b"content of a", "text/plain")}, name="files"),
        )
        assert set(built.results.values()) == {SUCCESS}
        assert self.told(built, "get")["path"] == "/b?a=1"
        post, put = self.told(built, "post"), self.told(built, "put")
        assert (post["method"], post["body"], post["headers"]["X-Mine"]) == ("POST", "key=value", "yes")
        assert (json.loads(put["body"]), put["user"]) == ({"a": [1, None]}, "ada")
        assert self.told(built, "delete")["headers"]["Cookie"] == "c=1"
        assert self.told(built, "options")["method"] == "OPTIONS"
        assert set(built.logs("head")) == {"log"}  # there is no body
        assert "content of a" in self.told(built, "files")["body"]
        assert built.step("get").state_text == "Status code: 200"
        assert f"Performing GET request to {self.url}/b\n" in built.text("get", "log", headers=True)

    async def test_what_is_secret_is_not_shown(self) -> None:
        self.rig.secrets.use([Known()])
        built = await self.run_steps(
            GET(
                f"{self.url}/p",
                headers={"Authorization": Interpolate("token %(secret:token)s"), "X-Mine": "seen", "X-Key": "hide me"},
                params={"key": Secret("token")},
                hide_request_headers=["X-Key"],
                hide_response_headers=["Server"],
                name="get",
            )
        )
        said = built.text("get", "log", headers=True)
        assert "s3cr3t" not in said + built.text("get", "content")
        assert "X-Mine: seen" in said
        for hidden in ("Authorization", "X-Key", "Set-Cookie", "Server"):
            assert f"{hidden}: <hidden>" in said
        assert "hide me" not in said

    async def test_bad_answers_and_none(self) -> None:
        built = await self.run_steps(
            GET(f"{self.url}/status/404", name="not found", flunkOnFailure=False),
            GET(f"{self.url}/elsewhere", name="moved"),
            GET(f"{self.url}/elsewhere", allow_redirects=False, name="told to move"),
            GET("http://127.0.0.1:9/", name="nobody", flunkOnFailure=False),
            GET(f"{self.url}/slow", timeout=0.2, name="slow", flunkOnFailure=False),
            GET(f"{self.url}/big", name="big"),
        )
        assert built.results == {
            "not found": FAILURE, "moved": SUCCESS, "told to move": SUCCESS, "nobody": FAILURE, "slow": FAILURE,
            "big": SUCCESS,
        }  # fmt: skip
        assert built.step("not found").state_text == "Status code: 404"
        assert self.told(built, "moved")["path"] == "/there"
        assert built.step("told to move").state_text == "Status code: 302"
        assert built.step("nobody").state_text.startswith("no answer from 127.0.0.1: ConnectionRefusedError")
        assert "7 bytes of the body are left out" in built.text("big", "log", headers=True)
        assert len(built.text("big", "content")) == MOST_ANSWER

    async def test_certificates_are_looked_at(self) -> None:
        here = self.rig.base
        subject = ["-subj", "/CN=localhost", "-addext", "subjectAltName=DNS:localhost"]
        words = ["openssl", "req", "-x509", "-newkey", "rsa:2048", "-nodes", "-days", "2", *subject]
        subprocess.run([*words, "-keyout", here / "key", "-out", here / "cert"], check=True, capture_output=True)
        (here / "both").write_bytes((here / "cert").read_bytes() + (here / "key").read_bytes())
        where = f"ssl:0:interface=127.0.0.1:privateKey={here / 'key'}:certKey={here / 'cert'}"
        port = await serverFromString(running, where).listen(Site(self.echo))
        self.addCleanup(port.stopListening)
        url = f"https://localhost:{port.getHost().port}/"
        built = await self.run_steps(
            GET(url, name="unknown", flunkOnFailure=False),
            GET(url, verify=str(here / "cert"), cert=str(here / "both"), name="trusted"),
            GET(url, verify=False, name="whoever"),
        )
        assert built.results == {"unknown": FAILURE, "trusted": SUCCESS, "whoever": SUCCESS}
        assert "certificate verify failed" in built.step("unknown").state_text

    async def test_a_stop_ends_the_wait(self) -> None:
        going: Deferred[Built] = self.run_steps_later(GET(f"{self.url}/slow", name="slow"))
        await self.rig.until(lambda: self.echo.asked, "it is asked")
        for build in list(self.rig.running.by_id):
            assert self.rig.control.stop_build(build, "ada", "enough")
        assert (await going).results == {"slow": CANCELLED}

    async def test_bad_arguments_are_said(self) -> None:
        for wrong, said in (
            ({"url": self.url, "method": "FETCH"}, "method is one of DELETE, GET"),
            ({"url": "example.org", "method": "GET"}, "url is an address"),
            ({"url": self.url, "method": "GET", "hooks": {"response": print}}, "takes no hooks"),
            ({"url": self.url, "method": "GET", "header": {}}, "did you mean 'headers'"),
        ):
            with self.assertRaises(ConfigErrors) as raised:
                HTTPStep(**wrong)
            self.assertIn(said, str(raised.exception))

    async def test_what_is_run_again_after_a_restart(self) -> None:
        assert [HTTPStep(self.url, name).idempotent for name in ("GET", "PUT", "POST")] == [True, True, False]
