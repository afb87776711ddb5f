"""Which module answers which address. A new page: a module with `ROUTES`, and its line here."""

from __future__ import annotations

from buildbot.status.web import home_page
from buildbot.status.web.pages import Route

ROUTES: tuple[Route, ...] = (*home_page.ROUTES,)
