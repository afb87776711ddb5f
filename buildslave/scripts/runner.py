"""The `buildslave` command line: options, and which function does it."""

import argparse
import sys
from collections.abc import Callable
from pathlib import Path

from buildslave import __version__
from buildslave.address import split_host, without_tls
from buildslave.defaults import MSGPACK, ORPHAN_GRACE_SECONDS, PB, PROTOCOLS, SPOOL_BYTES, protocol_refused
from buildslave.scripts import control
from buildslave.scripts.create import Reporter, complain, create_slave, upgrade_slave
from buildslave.scripts.outcome import CommandFailed, ExitCode
from buildslave.scripts.tac import TacSettings


def _number(text: str) -> int:
    if not text.isascii() or not text.isdigit():
        raise argparse.ArgumentTypeError(f"{text!r} is not a whole number")
    return int(text)


def _seconds(text: str) -> int:
    if _number(text) == 0:
        raise argparse.ArgumentTypeError("must be at least 1")
    return int(text)


def _optional_number(text: str) -> int | None:
    return None if text == "None" else _number(text)


def _umask(text: str) -> int | None:
    """`None`, or an octal number: 022, 0o22."""
    if text == "None":
        return None
    try:
        value = int(text.removeprefix("0o"), 8)
    except ValueError:
        value = -1
    if not 0 <= value <= 0o777:
        raise argparse.ArgumentTypeError(f"{text!r} is not an octal number from 0 to 777")
    return value


def _name(text: str) -> str:
    if not text or "\0" in text or "\n" in text:
        raise argparse.ArgumentTypeError("must not be empty and must be one line")
    return text


def _protocol(text: str) -> str:
    if text not in PROTOCOLS:
        raise argparse.ArgumentTypeError(protocol_refused(text))
    return text


def _host(text: str) -> tuple[str, int]:
    try:
        return split_host(text)
    except ValueError as error:
        raise argparse.ArgumentTypeError(str(error)) from None


def make_parser() -> argparse.ArgumentParser:
    """The whole command line."""
    parser = argparse.ArgumentParser(prog="buildslave", description="Make, start and stop a buildslave.")
    parser.add_argument("--version", action="version", version=f"buildslave {__version__}")
    commands = parser.add_subparsers(dest="command", required=True, metavar="COMMAND")
    _add_create(commands)
    for name, help_text in (
        ("upgrade-slave", "let a directory of an older buildslave be used by this one"),
        ("start", "start the slave; it is up when the command returns"),
        ("stop", "stop the slave and wait until it is gone"),
        ("restart", "stop, if it runs, and start"),
    ):
        sub = commands.add_parser(name, help=help_text, description=help_text)
        sub.add_argument("-q", "--quiet", action="store_true", help="say nothing unless something is wrong")
        if name in ("start", "restart"):
            sub.add_argument("--nodaemon", action="store_true", help="stay in the foreground and log to the terminal")
        sub.add_argument("basedir", nargs="?", default=".", help="the slave's directory; default: the current one")
    return parser


def _add_create(commands: "argparse._SubParsersAction[argparse.ArgumentParser]") -> None:
    text = "make a new slave's directory"
    sub = commands.add_parser("create-slave", aliases=["create-worker"], help=text, description=text)
    add = sub.add_argument
    add("-q", "--quiet", action="store_true", help="say nothing unless something is wrong")
    add("-f", "--force", action="store_true", help="replace an existing buildbot.tac (it is kept as buildbot.tac.old)")
    add("-r", "--relocatable", action="store_true", help="write no absolute path: the directory may be moved")
    add("-n", "--no-logrotate", action="store_true", help="let twistd.log grow; another program may cut it")
    add("-k", "--keepalive", type=_number, default=600, metavar="SECONDS", help="between signs of life (600)")
    add("--usepty", type=_number, choices=(0, 1), default=0, help="run commands on a terminal (0)")
    add("--umask", type=_umask, default=None, help="octal, for the files that commands make (None)")
    add(
        "-m", "--maxdelay", type=_seconds, default=300, metavar="SECONDS",
        help="longest pause before reconnecting (300)",
    )  # fmt: skip
    add("--numcpus", type=_optional_number, default=None, help="what the master is told (as many as there are)")
    add("--maxretries", type=_optional_number, default=None, help="failed attempts after a first one (None: no end)")
    add("-s", "--log-size", type=_number, default=10_000_000, metavar="BYTES", help="of a twistd.log (10000000)")
    add(
        "-l", "--log-count", type=_optional_number, default=10, metavar="N", help="old twistd.logs kept; None: all (10)"
    )
    add("-a", "--allow-shutdown", choices=("signal", "file"), default=None, help="how a graceful stop may be asked for")
    add("--use-tls", action="store_true", help="connect with TLS and check the master's certificate")
    add("--delete-leftover-dirs", action="store_true", help="remove directories of builders that are no more")
    add("--protocol", type=_protocol, default=PB, help=f"{PB}, or {MSGPACK} to a port of the master's for that ({PB})")
    add("--connection-string", default=None, help="a Twisted client endpoint, used instead of HOST")
    add(
        "--proxy-connection-string", default=None,
        help="the HTTP proxy to go through: a Twisted client endpoint, or http://[USER:PASSWORD@]HOST[:PORT]",
    )  # fmt: skip
    add(
        "--spool-size", type=_number, default=SPOOL_BYTES, metavar="BYTES",
        help=f"on disk for output that no master takes; then commands wait ({SPOOL_BYTES})",
    )  # fmt: skip
    add(
        "--orphan-grace", type=_seconds, default=int(ORPHAN_GRACE_SECONDS), metavar="SECONDS",
        help=f"how long commands go on without any master ({ORPHAN_GRACE_SECONDS:.0f})",
    )  # fmt: skip
    add("basedir", metavar="BASEDIR", help="the directory to make")
    add("host", metavar="HOST[:PORT]", type=_host, help="the master; an IPv6 address as [ADDRESS]:PORT (port 9989)")
    add("name", metavar="NAME", type=_name, help="the slave's name, as in the master's configuration")
    add("password", metavar="PASSWORD", type=_name, help="its password, as in the master's configuration")


def _settings(given: argparse.Namespace) -> TacSettings:
    host, port = given.host
    return TacSettings(
        basedir=Path(given.basedir).absolute(),
        relocatable=given.relocatable,
        host=host,
        port=port,
        name=given.name,
        password=given.password,
        keepalive=given.keepalive,
        usepty=bool(given.usepty),
        umask=given.umask,
        maxdelay=given.maxdelay,
        numcpus=given.numcpus,
        allow_shutdown=given.allow_shutdown,
        maxretries=given.maxretries,
        protocol=given.protocol,
        use_tls=given.use_tls,
        delete_leftover_dirs=given.delete_leftover_dirs,
        connection_string=given.connection_string,
        proxy_connection_string=given.proxy_connection_string,
        spool_size=given.spool_size,
        orphan_grace=given.orphan_grace,
        log_size=given.log_size,
        log_count=given.log_count,
        rotate_logs=not given.no_logrotate,
    )


def _create(given: argparse.Namespace) -> ExitCode:
    if given.connection_string is not None and given.proxy_connection_string is not None:
        raise CommandFailed(
            "--connection-string and --proxy-connection-string exclude each other: with a proxy, give HOST:PORT, and"
            " --use-tls for TLS", ExitCode.USAGE,
        )  # fmt: skip
    if given.use_tls and without_tls(given.connection_string):
        raise CommandFailed(
            "--use-tls has no effect on a --connection-string: write --connection-string=tls:HOST:PORT, or give"
            " HOST:PORT alone", ExitCode.USAGE,
        )  # fmt: skip
    create_slave(_settings(given), force=given.force, reporter=Reporter(given.quiet))
    return ExitCode.OK


def _upgrade(given: argparse.Namespace) -> ExitCode:
    upgrade_slave(Path(given.basedir).absolute(), Reporter(given.quiet))
    return ExitCode.OK


def _start(given: argparse.Namespace) -> ExitCode:
    basedir = Path(given.basedir).absolute()
    if given.nodaemon:
        return control.start_in_foreground(basedir)
    return control.start_daemon(basedir, Reporter(given.quiet))


def _stop(given: argparse.Namespace) -> ExitCode:
    return control.stop(Path(given.basedir).absolute(), Reporter(given.quiet))


def _restart(given: argparse.Namespace) -> ExitCode:
    _stop(given)
    return _start(given)


WORK: dict[str, Callable[[argparse.Namespace], ExitCode]] = {
    "create-slave": _create,
    "create-worker": _create,
    "upgrade-slave": _upgrade,
    "start": _start,
    "stop": _stop,
    "restart": _restart,
}


def main(words: list[str]) -> int:
    """Run one command line; the answer is the exit code. A wrong command line ends in SystemExit(2)."""
    given = make_parser().parse_args(words)
    try:
        return WORK[given.command](given)
    except CommandFailed as error:
        complain(f"buildslave: {error}")
        return error.code
    except OSError as error:
        complain(f"buildslave: {error}")
        return ExitCode.FAILED


def run() -> None:
    """The console script."""
    sys.exit(main(sys.argv[1:]))
