"""What holds for every address: routes, headers, errors, compression, static files, the frame."""

from __future__ import annotations

import gzip

from buildbot.config.authz import ActionAuthz, UserPasswordAuth
from buildbot.model import EventKind
from buildbot.status.web import urls
from buildbot.status.web.pages import Page, Redirect, Routes, View
from buildbot.status.web.site import WebSite
from buildbot.store import events
from buildbot.store.logfiles import LogFiles
from tests.unit.web.visitor import SiteCase, links_in

USERS = UserPasswordAuth([("ada", "secret")])


class HeadersTests(SiteCase):
    def test_every_answer_has_the_security_headers(self) -> None:
        for path in ("/", "/nowhere", "/static/layout.css", "/static/nothing", "/login", "/robots.txt"):
            answer = self.visit(path)
            policy = answer.header("content-security-policy") or ""
            self.assertIn("default-src 'none'", policy, path)
            self.assertNotIn("unsafe", policy)
            self.assertEqual(answer.header("x-content-type-options"), "nosniff", path)
            self.assertEqual(answer.header("x-frame-options"), "DENY", path)

    def test_pages_have_no_inline_script_or_style(self) -> None:
        self.configure({"b": ["s"]})
        for path in (
            "/",
            "/waterfall",
            "/waterfall/help",
            "/builders",
            "/builders/b",
            "/buildslaves",
            "/changes",
            "/about",
        ):
            text = self.visit(path).text
            self.assertNotIn("<style", text, path)
            self.assertNotIn("style=", text, path)
            self.assertNotRegex(text, r"<script(?![^>]*src=)")
            self.assertNotRegex(text, r"\son[a-z]+=")

    def test_large_pages_are_compressed_for_who_reads_that(self) -> None:
        plain = self.visit("/waterfall/help")
        packed = self.visit("/waterfall/help", Accept_Encoding="br;q=1, gzip")
        self.assertIsNone(plain.header("content-encoding"))
        self.assertEqual(packed.header("content-encoding"), "gzip")
        self.assertEqual(gzip.decompress(packed.body), plain.body)
        self.assertIsNone(self.visit("/waterfall/help", Accept_Encoding="gzip;q=0").header("content-encoding"))

    def test_head_has_the_headers_of_get_and_no_body(self) -> None:
        got, head = self.visit("/about"), self.visit("/about", "HEAD")
        self.assertEqual((head.status, head.body), (200, b""))
        self.assertEqual(head.header("content-type"), got.header("content-type"))

    def test_pages_of_who_is_logged_in_are_not_stored(self) -> None:
        self.assertEqual(self.visit("/about").header("cache-control"), "no-cache")
        self.log_in()
        self.assertEqual(self.visit("/about").header("cache-control"), "no-store")


class ErrorTests(SiteCase):
    def test_unknown_page_is_404_in_words(self) -> None:
        answer = self.visit("/nowhere/at%20all")
        self.assertEqual(answer.status, 404)
        self.assertIn("There is no page at this address", answer.words)

    def test_unknown_builder_is_404_and_shown_escaped(self) -> None:
        answer = self.visit("/builders/%3Cscript%3E")
        self.assertEqual(answer.status, 404)
        self.assertIn("no builder called &lt;script&gt;", answer.text)

    def test_nonsense_in_the_query_is_400(self) -> None:
        for path in (
            "/waterfall?last_time=yesterday",
            "/waterfall?num_events=x",
            "/changes?before=1e9",
            "/changes/abc",
        ):
            self.assertEqual(self.visit(path).status, 400, path)
        self.assertEqual(self.visit("/waterfall?first_time=20&last_time=10").status, 400)
        self.assertEqual(self.visit("/?" + "a=1&" * 1001).status, 400)

    def test_odd_bytes_in_addresses_do_no_harm(self) -> None:
        for path in (
            "/builders/%FF%00",
            "/builders/%ff?tag=%ff",
            "/changes/%C3%28",
            "/?%00=%00",
            "//",
            "/static/..%2Flayout.css",
        ):
            self.assertIn(self.visit(path).status, (200, 303, 400, 404), path)

    def test_unknown_method_is_405(self) -> None:
        answer = self.visit("/about", "DELETE")
        self.assertEqual((answer.status, answer.header("allow")), (405, "GET, HEAD, POST"))

    def test_a_bug_is_500_with_a_number_that_is_in_the_log(self) -> None:
        def broken(asked, master) -> View:
            raise ZeroDivisionError("secret detail")

        self.site = WebSite(
            self.store,
            LogFiles(self.basedir / "logs"),
            lambda: self.config,
            self.control,
            None,
            lambda: self.now,
            routes=[Page("/", "home.html", broken)],
        )
        self.addCleanup(self.site.streams.close)
        answer = self.visit("/")
        self.assertEqual(answer.status, 500)
        self.assertNotIn("secret detail", answer.text)
        self.assertIn("twistd.log says more", answer.words)
        self.assertEqual(len(self.flushLoggedErrors(ZeroDivisionError)), 1)

    def test_slash_at_the_end_leads_to_the_page(self) -> None:
        answer = self.visit("/builders/")
        self.assertEqual((answer.status, answer.header("location")), (303, "/builders"))


class StaticTests(SiteCase):
    def test_address_carries_the_content_and_is_kept_for_ever(self) -> None:
        page = self.visit("/about").text
        address = page.partition('rel="stylesheet" href="')[2].partition('"')[0]
        answer = self.visit(address)
        self.assertEqual(answer.status, 200)
        self.assertIn("immutable", answer.header("cache-control") or "")
        self.assertIn("text/css", answer.header("content-type") or "")
        self.assertEqual(self.visit("/static/layout.css?v=old").header("cache-control"), "no-cache")

    def test_unchanged_file_is_not_sent_again(self) -> None:
        tag = self.visit("/static/layout.css").header("etag") or ""
        again = self.visit("/static/layout.css", If_None_Match=tag)
        self.assertEqual((again.status, again.body), (304, b""))

    def test_public_html_is_served(self) -> None:
        (self.basedir / "public_html" / "more").mkdir(parents=True)
        (self.basedir / "public_html" / "robots.txt").write_text("User-agent: *\n")
        (self.basedir / "public_html" / "more" / "a.html").write_text("<p>mine")
        self.assertEqual(self.visit("/robots.txt").body, b"User-agent: *\n")
        self.assertEqual(self.visit("/more/a.html").text, "<p>mine")
        self.assertEqual(self.visit("/more").status, 404)

    def test_nothing_outside_public_html_is_served(self) -> None:
        (self.basedir / "public_html").mkdir()
        (self.basedir / "public_html" / ".htaccess").write_text("hidden")
        (self.basedir / "public_html" / "link").symlink_to(self.basedir.absolute() / "state.sqlite")
        for path in (
            "/../state.sqlite",
            "/%2e%2e/state.sqlite",
            "/..%2fstate.sqlite",
            "/.htaccess",
            "/link",
            "/%00",
            "/state.sqlite",
        ):
            self.assertEqual(self.visit(path).status, 404, path)


class FrameTests(SiteCase):
    def test_refused_configuration_is_shown_on_every_page_until_it_is_mended(self) -> None:
        self.successResultOf(_deferred(self.site.start()))
        events.add(self.store, self.now, EventKind.CONFIG_REFUSED, problems=["master.cfg:3: <bad>"])
        self.assertIn("master.cfg:3: &lt;bad&gt;", self.visit("/waterfall").text)
        self.assertIn("the one before it is in force", self.visit("/about").words)
        events.add(self.store, self.now + 1, EventKind.CONFIG_LOADED)
        self.assertNotIn("master.cfg:3", self.visit("/waterfall").text)
        self.successResultOf(_deferred(self.site.stop()))

    def test_refusal_before_this_process_is_known_at_its_start(self) -> None:
        events.add(self.store, self.now, EventKind.CONFIG_REFUSED, why="bad")
        self.successResultOf(_deferred(self.site.start()))
        self.assertIn("was refused", self.visit("/").words)
        self.successResultOf(_deferred(self.site.stop()))

    def test_title_and_links_are_escaped_and_only_web_addresses_are_links(self) -> None:
        from dataclasses import replace

        self.config = replace(self.config, title="<b>T", title_url="javascript:alert(1)")
        text = self.visit("/about").text
        self.assertNotIn("<b>T", text)
        self.assertNotIn("javascript:", text)

    def test_login_link_leads_back_to_this_page_with_its_query(self) -> None:
        links = links_in(self.visit("/changes?num=5").text)
        self.assertIn("/login?next=%2Fchanges%3Fnum%3D5", links)

    def test_notice_is_shown_once(self) -> None:
        self.log_in()
        session = self.site._answers._sessions._by_cookie[self.cookies[self.site._answers.cookie_name]]
        session.add_notice("done & dusted")
        self.assertNotIn("done", self.visit("/about", X_Live="1").words)
        self.assertIn("done &amp; dusted", self.visit("/about").text)
        self.assertNotIn("done", self.visit("/about").words)


class ViewRightTests(SiteCase):
    def test_closed_pages_ask_for_a_login(self) -> None:
        self.set_www(auth=USERS, authz=ActionAuthz(auth=USERS, view="auth"))
        self.configure({"b": ["s"]})
        for path in ("/", "/waterfall", "/builders/b", "/changes", "/about", "/events"):
            answer = self.visit(path)
            self.assertEqual(answer.status, 403, path)
            self.assertIn("/login?next=", answer.text)
        self.assertEqual(self.visit("/login").status, 200)
        self.log_in()
        self.assertEqual(self.visit("/waterfall").status, 200)


class RoutesTests(SiteCase):
    def test_plain_words_win_over_names(self) -> None:
        def view(asked, master) -> Redirect:
            return Redirect("/")

        routes = Routes([Page("/a/{x}", "1", view), Page("/a/b", "2", view)])
        found = routes.find(["a", "b"], (Page,))
        assert found is not None
        self.assertEqual(found[0].pattern, "/a/b")
        found = routes.find(["a", "c/d"], (Page,))
        assert found is not None
        self.assertEqual(found[1], {"x": "c/d"})
        self.assertIsNone(routes.find(["a", ""], (Page,)))

    def test_names_round_trip_through_addresses(self) -> None:
        for name in ("a/b <x>", "%2F", "ü#?&;", "..", ".", "a%b", " ", "a\\b", "'\""):
            self.assertEqual(urls.segments_of(urls.builder(name)), ["builders", name])

    def test_page_of_a_builder_with_a_difficult_name(self) -> None:
        self.configure({"a/b <x>": ["s"]})
        link = next(link for link in links_in(self.visit("/builders").text) if "%3Cx%3E" in link)
        answer = self.visit(link)
        self.assertEqual(answer.status, 200)
        self.assertIn("a/b &lt;x&gt;", answer.text)


def _deferred(coroutine):
    from twisted.internet.defer import Deferred

    return Deferred.fromCoroutine(coroutine)
