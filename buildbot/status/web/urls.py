"""The addresses of everything, as Buildbot 0.8 had them. Names are percent-encoded whole, slashes too."""

from __future__ import annotations

from collections.abc import Iterable
from urllib.parse import quote, unquote, urlencode


def segment(name: str) -> str:
    """A name as one segment of a path. `.` and `..` cannot be one, so their dots are doubly encoded."""
    if name in (".", ".."):
        return name.replace(".", "%252E")
    return quote(name, safe="")


def name_of(segment: str) -> str:
    """The name that a path's segment stands for; the inverse of `segment`."""
    name = unquote(segment, errors="replace")
    return name.replace("%2E", ".") if name in ("%2E", "%2E%2E") else name


def segments_of(path: str) -> list[str]:
    """The decoded segments of a path as it came in a request."""
    return [name_of(part) for part in path.removeprefix("/").split("/")]


def with_query(path: str, pairs: Iterable[tuple[str, object]]) -> str:
    """A path with a query; pairs whose value is None or empty are left out."""
    query = urlencode([(name, str(value)) for name, value in pairs if value not in (None, "")])
    return f"{path}?{query}" if query else path


def waterfall() -> str:
    return "/waterfall"


def builders() -> str:
    return "/builders"


def builder(name: str) -> str:
    return f"/builders/{segment(name)}"


def build(builder_name: str, number: int) -> str:
    return f"{builder(builder_name)}/builds/{number}"


def step(builder_name: str, number: int, step_name: str) -> str:
    return f"{build(builder_name, number)}/steps/{segment(step_name)}"


def log(builder_name: str, number: int, step_name: str, slug: str) -> str:
    return f"{step(builder_name, number, step_name)}/logs/{segment(slug)}"


def tests(builder_name: str, number: int) -> str:
    return f"{build(builder_name, number)}/tests"


def test(builder_name: str, number: int, name: str) -> str:
    return f"{tests(builder_name, number)}/{segment(name)}"


def locks() -> str:
    return "/locks"


def pending() -> str:
    return "/pendingbuildrequests"


def request(id: int) -> str:
    return f"/buildrequests/{id}"


def operators() -> str:
    return "/actions"


def schedulers() -> str:
    return "/schedulers"


def scheduler(name: str) -> str:
    return f"/schedulers/{segment(name)}"


def slaves() -> str:
    return "/buildslaves"


def slave(name: str) -> str:
    return f"/buildslaves/{segment(name)}"


def changes() -> str:
    return "/changes"


def change(id: int) -> str:
    return f"/changes/{id}"


def login(back_to: str) -> str:
    """The login page that leads back to where one was."""
    return with_query("/login", [("next", back_to)])


def is_local(path: str) -> bool:
    """Whether a place to go back to is one of ours: never another site's address."""
    return path.startswith("/") and not path.startswith("//") and "\\" not in path and path.isprintable()
