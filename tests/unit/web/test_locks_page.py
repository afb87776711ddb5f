"""The page of locks, and what other pages say of them."""

from __future__ import annotations

from twisted.internet.task import Clock

from buildbot.model import BuildID
from buildbot.process.lockqueue import Locks, LockUser
from buildbot.process.locks import MasterLock, SlaveLock, wants_of
from buildbot.status.web.site import WebSite
from buildbot.store.logfiles import LogFiles
from tests.unit.web.test_pages import PageCase
from tests.unit.web.visitor import links_in

DISK = MasterLock("disk <x>", 2)
CPU = SlaveLock("cpu")


class LocksPageTests(PageCase):
    def make_site(self) -> WebSite:
        self.locks = Locks()
        site = WebSite(
            self.store, LogFiles(self.basedir / "logs"), lambda: self.config, self.control, Clock(),
            lambda: self.now, locks=self.locks,
        )  # fmt: skip
        self.addCleanup(site.streams.close)
        return site

    def test_without_locks(self) -> None:
        self.assertIn("names no lock", self.visit("/locks").words)

    def test_holders_and_the_queue_in_order(self) -> None:
        self.locks.configure([DISK, CPU])
        self.locks.hold(
            LockUser("linux", 7, None, BuildID(1)), wants_of([DISK.access("counting", 2)], "one"), self.now - 60
        )
        for number in (8, 9):
            user = LockUser("linux", number, "make check", BuildID(number))
            self.locks.ask(user, wants_of([DISK, CPU], "one"), self.now - 10)
        self.locks.expect([(LockUser("mac"), wants_of([DISK.access("exclusive")], "one"))], self.now)
        page = self.visit("/locks")
        self.assertEqual(page.status, 200)
        self.assertIn(
            "disk &lt;x&gt; 2 linux/7 2 of it for 1 min linux/8 (step make check) for 10 s linux/9 (step make check) "
            "for 10 s the next build of mac exclusive",
            page.words,
        )
        self.assertIn("cpu on one 1 nobody linux/8", page.words)
        links = links_in(page.text)
        for link in ("/builders/linux/builds/7", "/builders/linux/builds/8/steps/make%20check", "/builders/mac"):
            self.assertIn(link, links)

    def test_long_queues_are_cut(self) -> None:
        self.locks.hold(LockUser("linux", 1, None, BuildID(1)), wants_of([CPU], "one"), self.now)
        for number in range(2, 200):
            self.locks.ask(LockUser("linux", number, "s", BuildID(number)), wants_of([CPU], "one"), self.now)
        page = self.visit("/locks")
        self.assertIn("linux/51 (step s)", page.words)
        self.assertNotIn("linux/52 (step s)", page.words)
        self.assertIn("and 148 more hold it or wait", page.words)

    def test_a_builder_shows_its_own(self) -> None:
        self.configure({"linux": ["one"], "mac": ["one"]})
        for builder in self.config.builders:
            builder.locks = [DISK] if builder.name == "linux" else []
        self.locks.configure([DISK, CPU])
        self.assertIn("disk &lt;x&gt; 2 nobody", self.visit("/builders/linux").words)
        self.assertNotIn("disk", self.visit("/builders/mac").words)

    def test_a_build_shows_what_it_holds(self) -> None:
        id = self.build(took=None).id
        self.assertNotIn("Holds", self.visit("/builders/linux/builds/1").words)
        self.locks.hold(LockUser("linux", 1, None, id), wants_of([CPU], "one"), self.now)
        self.assertIn("Holds lock cpu of one", self.visit("/builders/linux/builds/1").words)
