"""The first page: what there is, and what runs now."""

from __future__ import annotations

from buildbot.status.web.asked import Asked
from buildbot.status.web.pages import Master, Page, View


def home(asked: Asked, master: Master) -> View:
    return View(title="Welcome")


ROUTES = (Page("/", "home.html", home),)
