"""A running master whose build tries to get a secret out: no file of the master and no page holds it."""

from __future__ import annotations

import base64
from pathlib import Path

import pytest

from buildbot.model import Result
from tests.integration.a_master import AMaster
from tests.processes import Processes

TOKEN = "hunter2&co-9f8e7d6c"
KEY = "-----BEGIN A KEY-----\nMIIBVgIBADANBgkqhkiG9w0B\nAQEFAASCAUAwggE8AgEAAkEA\n-----END A KEY-----\n"
PASSWORD = "pass-of-slave-0123"
PARTS = [TOKEN, "MIIBVgIBADANBgkqhkiG9w0B", "AQEFAASCAUAwggE8AgEAAkEA", PASSWORD]

LEAKS = """
from twisted.python import log
from buildbot.plugins import secrets
from buildbot.process.buildstep import BuildStep

c['secretsProviders'] = [secrets.SecretInAFile(dirname='../secrets')]
c['slaves'] = [buildslave.BuildSlave('one', util.Secret('slave'))]


class Leaky(BuildStep):
    renderables = ('value',)

    def __init__(self, value, **kwargs):
        self.value = value
        super().__init__(**kwargs)

    async def run(self):
        log.msg(f'the log gets {self.value}')
        self.addURL(f'link {self.value}', f'http://example.com/?t={self.value}')
        self.setProperty('loot', {'deep': [self.value, util.__name__]})
        self.setProperty(f'loot {self.value}', True)
        self.addCompleteLog(f'log {self.value}', f'holds {self.value}')
        self.addHTMLLog('page', f'<p>{self.value}</p>')
        raise RuntimeError(f'no luck with {self.value}')

    def getResultSummary(self):
        return {'step': f'tried {self.value}', 'build': f'loot: {self.value}'}


PRINTS = '''
import base64, json, os, shlex, sys, time, urllib.parse
token, key = os.environ["TOKEN"], os.environ["KEY"]
print("plain", token, repr(token), json.dumps(key), urllib.parse.quote(token, safe=""))
print(shlex.quote(token), "Basic", base64.b64encode(f"me:{token}".encode()).decode())
print(key)
sys.stdout.flush()
for piece in (token[:5], token[5:9], token[9:], key[:30], key[30:], chr(10)):
    os.write(1, piece.encode())
    time.sleep(0.1)
os.write(2, token.encode())
print(sys.argv[1:], "the end")
sys.exit(1)
'''

c['builders'] = [util.BuilderConfig(name='tests', slavenames=['one'], factory=util.BuildFactory([
    steps.ShellCommand(
        name='prints', command=['python3', '-c', PRINTS, util.Secret('token')], haltOnFailure=False,
        env={'TOKEN': util.Secret('token'), 'KEY': util.Secret('key')}),
    steps.SetPropertyFromCommand(
        name='property', command=['printenv', 'TOKEN'], property='printed', env={'TOKEN': util.Secret('token')}),
    Leaky(util.Secret('token'), name=util.Interpolate('step %(secret:token)s')),
    steps.ShellCommand(name='missing', command=['echo', util.Secret('missing')], alwaysRun=True),
]))]
"""


@pytest.fixture
def master(processes: Processes, tmp_path: Path) -> AMaster:
    made = AMaster(processes, tmp_path)
    (tmp_path / "secrets").mkdir(mode=0o700)
    for name, value in (("token", TOKEN), ("key", KEY), ("slave", PASSWORD)):
        path = tmp_path / "secrets" / name
        path.touch(0o600)
        path.write_text(value)
    made.configure(LEAKS)
    return made


def leaks_in(directory: Path) -> list[tuple[str, str]]:
    """Each file below it that has a secret in its name or content, with the secret."""
    found = []
    for path in directory.rglob("*"):
        content = path.read_bytes() if path.is_file() else b""
        found += [(str(path), part) for part in PARTS if part.encode() in content or part in path.name]
    return found


def test_a_build_cannot_write_its_secrets_down(master: AMaster) -> None:
    master.start()
    slave = master.slave(password=PASSWORD)
    master.send("r1", branch="main")
    build = master.finished("tests", 1)
    assert build.result is Result.EXCEPTION, build
    assert build.text.startswith("exception "), build.text

    pages = ["/builders/tests/builds/1", "/builders/tests", "/waterfall", "/"]
    names = [name for (name,) in master.rows("SELECT name FROM steps ORDER BY number")]
    assert names == ["prints", "property", "step <token>", "missing"]
    texts = {page: master.web.get(page).text for page in pages}
    for page, text in texts.items():
        assert not [part for part in PARTS if part in text], page
    assert "tried &lt;token&gt;" in texts[pages[0]]

    stdio = next((master.basedir / "logs" / "tests" / "1").glob("prints-stdio.txt")).read_text()
    assert "plain <token> '<token>' \"<key>\" <token>\n" in stdio
    assert "'<token>' Basic " in stdio
    assert "\n<key>\n" in stdio
    assert "<token><key>" in stdio.replace("<key>\n<key>", "<key>")
    assert "['<token>'] the end" in stdio
    assert base64.b64encode(f"me:{TOKEN}".encode()).decode()[8:-4] not in stdio
    args = master.value("SELECT args FROM commands WHERE args LIKE '%piece%'")
    assert '"<token>"' in args and '"KEY": "<key>"' in args
    assert master.value("SELECT value FROM build_properties WHERE name = 'printed'") == '"<token>"'
    log = master.log
    assert "the log gets <token>" in log and "no luck with <token>" in log
    assert "there is no secret 'missing'; asked: SecretInAFile" in log

    slave.stop()
    master.stop()
    assert leaks_in(master.basedir) == []


def test_a_secret_that_is_missing_keeps_the_master_from_starting_and_says_which(master: AMaster) -> None:
    (master.where / "secrets" / "slave").unlink()
    said = master.buildbot("start", master.basedir, code=None)
    assert "the password of slave 'one': there is no secret 'slave'; asked: SecretInAFile" in said
    assert not (master.basedir / "twistd.pid").exists()


def test_a_new_password_counts_after_a_reconfiguration(master: AMaster) -> None:
    master.start()
    (master.where / "secrets" / "slave").write_text("another-password")
    master.reconfig()
    master.slave(password="another-password")
    (master.where / "secrets" / "slave").chmod(0o644)
    assert "other users have access to" in master.reconfig(code=1)
    assert leaks_in(master.basedir) == []


def test_what_people_write_into_reasons_is_hidden(master: AMaster) -> None:
    """The slave's password is known to the master from its start on."""
    more = """
c['builders'].append(util.BuilderConfig(name='long', slavenames=['one'], factory=runs('sleep', '1000')))
c['schedulers'] = [
    schedulers.AnyBranchScheduler(name='all', builderNames=['long']),
    schedulers.ForceScheduler(name='forced', builderNames=['tests', 'long']),
]
"""
    master.configure(LEAKS + more)
    master.start()
    slave = master.slave(password=PASSWORD)
    web, why = master.web, {"comments": f"because of {PASSWORD}!"}
    web.log_in()
    master.send("r1", branch="main", comments=f"oops {PASSWORD}")
    master.running("long", 1)
    web.press("/builders/long", "/builders/long/force", forcescheduler="forced", reason=f"try {PASSWORD}")
    web.press("/builders/long", "/builders/long/pause", **why)
    web.press("/builders/long/builds/1", "/builders/long/builds/1/stop", **why)
    assert master.finished("long", 1).result is Result.CANCELLED
    request = master.value("SELECT max(id) FROM build_requests")
    waits = f"/buildrequests/{request}"
    assert "try &lt;slave&gt;" in web.get(waits).text
    web.press(waits, "/builders/long/cancelbuild", id=str(request), **why)
    master.idle()
    told = "because of <slave>!"
    assert master.value("SELECT cancelled_because FROM build_requests WHERE id = ?", request).endswith(told)
    assert master.value("SELECT why FROM pauses") == told
    assert master.value("SELECT stop_reason FROM builds").endswith(told)
    assert master.value("SELECT comments FROM changes") == "oops <slave>"
    assert master.value("SELECT value FROM buildset_properties WHERE name = 'reason'") == '"try <slave>"'
    assert {row[0] for row in master.rows("SELECT why FROM operator_actions")} == {told, "try <slave>"}
    for page in ("/about", "/builders/long", "/builders/long/builds/1", waits, "/changes/1", "/waterfall"):
        assert PASSWORD not in web.get(page).text, page
    slave.stop()
    master.stop()
    assert leaks_in(master.basedir) == []
