"""Which module answers which address. A new page: a module with `ROUTES`, and its line here."""

from __future__ import annotations

from buildbot.status.web import (
    about_page,
    actions,
    build_page,
    builder_page,
    builders_page,
    changes_page,
    events_page,
    home_page,
    json_page,
    locks_page,
    log_page,
    operators_page,
    pending_page,
    request_page,
    schedulers_page,
    slaves_page,
    step_page,
    tests_page,
    waterfall_page,
)
from buildbot.status.web.pages import Route

ROUTES: tuple[Route, ...] = (
    *home_page.ROUTES,
    *waterfall_page.ROUTES,
    *builders_page.ROUTES,
    *builder_page.ROUTES,
    *build_page.ROUTES,
    *step_page.ROUTES,
    *tests_page.ROUTES,
    *log_page.ROUTES,
    *events_page.ROUTES,
    *slaves_page.ROUTES,
    *schedulers_page.ROUTES,
    *changes_page.ROUTES,
    *operators_page.ROUTES,
    *pending_page.ROUTES,
    *locks_page.ROUTES,
    *request_page.ROUTES,
    *about_page.ROUTES,
    *json_page.ROUTES,
    *actions.ROUTES,
)
