"""Passwords in the addresses of repositories."""

from __future__ import annotations

from twisted.trial.unittest import SynchronousTestCase

from buildbot.process.credentials import with_password_masked, without_password

WITH_ONE = (  # (address, without it, with its place taken)
    ("https://me:secret@host/x", "https://me@host/x", "https://me:XXXX@host/x"),
    ("https://me:p@ss@host/x", "https://me@host/x", "https://me:XXXX@host/x"),
    ("https://:token@host/x", "https://@host/x", "https://:XXXX@host/x"),
    ("git+ssh://me:a:b@host:22/x", "git+ssh://me@host:22/x", "git+ssh://me:XXXX@host:22/x"),
)
WITHOUT = ("https://me@host/x", "https://host/a:b@c", "ssh://git@h:22/r", "git@host:x", "/srv/git:x@y", "file:///a:b@c")


class PasswordTests(SynchronousTestCase):
    def test_it_is_gone_or_masked_to_its_last_letter(self) -> None:
        for url, without, masked in WITH_ONE:
            self.assertEqual(without_password(url), without)
            self.assertEqual(with_password_masked(url), masked)

    def test_other_addresses_stay_as_they_are(self) -> None:
        for url in WITHOUT:
            self.assertEqual(without_password(url), url)
            self.assertEqual(with_password_masked(url), url)
