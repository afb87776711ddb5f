"""The formats of stored passwords. The samples were made by Apache's htpasswd and by openssl."""

from __future__ import annotations

import shutil
import subprocess
from importlib.util import find_spec

from twisted.trial.unittest import SynchronousTestCase

from buildbot.status.web import passwords


class PasswordTests(SynchronousTestCase):
    def test_sha(self) -> None:
        stored = "{SHA}W6ph5Mm5Pz8GgiULbPgzG37mj9g="  # of "password"
        self.assertTrue(passwords.verify("password", stored))
        self.assertFalse(passwords.verify("Password", stored))

    def test_apr1(self) -> None:
        # the example of Apache's documentation
        self.assertTrue(passwords.verify("myPassword", "$apr1$r31.....$HqJZimcKQFAMYayBlzkrA/"))
        self.assertFalse(passwords.verify("mypassword", "$apr1$r31.....$HqJZimcKQFAMYayBlzkrA/"))

    def test_apr1_agrees_with_openssl(self) -> None:
        openssl = shutil.which("openssl")
        if openssl is None:
            self.fail("openssl is not installed: apt-get install openssl")
        for password in ("a", "längere Passwörter mit ümlauten, über sechzehn Zeichen", "x" * 33):
            made = subprocess.run(
                [openssl, "passwd", "-apr1", "-salt", "abcdefgh", "-stdin"],
                input=password.encode(),
                stdout=subprocess.PIPE,
                check=True,
            )
            self.assertTrue(passwords.verify(password, made.stdout.decode().strip()), password)

    def test_our_own_format(self) -> None:
        stored = passwords.make("ein Wort")
        self.assertTrue(passwords.verify("ein Wort", stored))
        self.assertFalse(passwords.verify("ein wort", stored))
        self.assertNotEqual(stored, passwords.make("ein Wort"))

    def test_bcrypt_works_or_says_what_is_missing(self) -> None:
        stored = "$2y$05$c4WoMPo3SXsafkva.HHa6uXQZWr7oboPiC2bT/r7q1BB8I2s0BRqC"  # of "myPassword"
        if find_spec("bcrypt"):
            self.assertTrue(passwords.verify("myPassword", stored))
            self.assertFalse(passwords.verify("mypassword", stored))
        else:
            error = self.assertRaises(passwords.UnusablePassword, passwords.verify, "myPassword", stored)
            self.assertIn("install the Python package `bcrypt`", str(error))

    def test_unknown_format_is_said_without_showing_it(self) -> None:
        error = self.assertRaises(passwords.UnusablePassword, passwords.verify, "x", "rqXexS6ZhobKA")
        self.assertNotIn("rqXexS6ZhobKA", str(error))
        self.assertIn("htpasswd -B", str(error))

    def test_damaged_scrypt_is_an_unusable_password(self) -> None:
        for stored in ("$scrypt$", "$scrypt$16384$8$1$x$y", "$scrypt$3$8$1$AAAA$AAAA"):
            self.assertRaises(passwords.UnusablePassword, passwords.verify, "x", stored)

    def test_htpasswd_lines(self) -> None:
        self.assertEqual(
            passwords.parse_htpasswd("a:{SHA}x\n# no:body\n\nb:$apr1$s$h:more\nnothing\n:empty\n"),
            {"a": "{SHA}x", "b": "$apr1$s$h"},
        )
