"""Logging in and out: cookies, tokens, guesses, and where one comes back to."""

from __future__ import annotations

from buildbot.config.authz import HTPasswdAuth
from buildbot.status.web import passwords
from tests.unit.web.visitor import SiteCase, token_in


class LoginTests(SiteCase):
    def test_right_password_logs_in_and_leads_back(self) -> None:
        answer = self.log_in(back_to="/builders?tag=a")
        self.assertEqual((answer.status, answer.header("location")), (303, "/builders?tag=a"))
        self.assertIn("ada", self.visit("/about").words)
        self.assertIn("Log out", self.visit("/about").words)

    def test_wrong_password_and_unknown_name_get_the_same_answer(self) -> None:
        wrong = self.log_in(password="guess")
        unknown = self.log_in(name="eve", password="guess")
        self.assertEqual((wrong.status, unknown.status), (403, 403))
        self.assertIn("not known here", wrong.words)
        self.assertIn("not known here", unknown.words)
        self.assertNotIn("guess", wrong.text)
        self.assertNotIn("Log out", self.visit("/about").words)

    def test_cookie_is_not_for_scripts_or_other_sites(self) -> None:
        cookie = self.log_in().headers.getRawHeaders("set-cookie")[-1]
        self.assertIn("; HttpOnly", cookie)
        self.assertIn("; SameSite=Lax", cookie)
        self.assertNotIn("Secure", cookie)

    def test_cookie_is_secure_when_the_public_address_is(self) -> None:
        from dataclasses import replace

        self.config = replace(self.config, buildbot_url="https://ci.example.org/")
        self.assertIn("; Secure", self.log_in().headers.getRawHeaders("set-cookie")[-1])

    def test_login_form_without_its_cookie_is_refused(self) -> None:
        page = self.visit("/login")
        self.cookies.clear()
        answer = self.post("/login", token=token_in(page.text), username="ada", password="secret")
        self.assertEqual(answer.status, 403)
        self.assertNotIn("Log out", self.visit("/about").words)

    def test_login_never_leads_to_another_site(self) -> None:
        for elsewhere in ("https://evil.example/", "//evil.example/", "/\\evil.example", "javascript:alert(1)"):
            self.assertEqual(self.log_in(back_to=elsewhere).header("location"), "/", elsewhere)

    def test_many_wrong_passwords_must_wait(self) -> None:
        for _ in range(10):
            self.assertEqual(self.log_in(password="guess").status, 403)
        answer = self.log_in()
        self.assertEqual(answer.status, 429)
        self.assertIn("Wait 300 seconds", answer.words)
        self.now += 301
        self.assertEqual(self.log_in().status, 303)

    def test_many_names_from_one_address_must_wait_too(self) -> None:
        for number in range(50):
            self.log_in(name=f"user{number}", password="guess")
        self.assertEqual(self.log_in().status, 429)

    def test_logins_that_succeed_do_not_count(self) -> None:
        for _ in range(60):
            self.assertEqual(self.log_in().status, 303)

    def test_logout_needs_the_token_and_ends_the_session(self) -> None:
        self.log_in()
        kept = dict(self.cookies)
        self.assertEqual(self.post("/logout", token="guess").status, 403)
        self.assertIn("Log out", self.visit("/about").words)
        self.assertEqual(self.post("/logout", token=self.token()).status, 303)
        self.cookies = kept
        self.assertNotIn("Log out", self.visit("/about").words)

    def test_session_expires(self) -> None:
        self.log_in()
        self.now += 7 * 86400 + 1
        self.assertNotIn("Log out", self.visit("/about").words)

    def test_without_auth_nobody_can_log_in(self) -> None:
        self.set_www()
        self.assertIn("Nobody can log in", self.visit("/login").words)
        token = self.visit("/about")
        self.assertNotIn("Log in", token.words)

    def test_htpasswd_file_is_read_again_when_it_changes(self) -> None:
        self.set_www(auth=HTPasswdAuth("htpasswd"))
        file = self.basedir / "htpasswd"
        file.write_text(f"carl:{passwords.make('first')}\n")
        self.assertEqual(self.log_in("carl", "first").status, 303)
        file.write_text(f"carl:{passwords.make('the second')}\n# comment\n")
        self.assertEqual(self.log_in("carl", "first").status, 403)
        self.assertEqual(self.log_in("carl", "the second").status, 303)

    def test_missing_htpasswd_file_is_said_in_words(self) -> None:
        self.set_www(auth=HTPasswdAuth("nowhere"))
        answer = self.log_in("carl", "first")
        self.assertEqual(answer.status, 500)
        self.assertIn("the password file cannot be read", answer.words)

    def test_sessions_and_guesses_stay_bounded(self) -> None:
        from buildbot.status.web import sessions
        from buildbot.status.web.asked import User

        kept = sessions.Sessions(lambda: self.now)
        first = kept.start(User("a"))
        for _ in range(sessions.MOST_SESSIONS):
            kept.start(User("a"))
        self.assertIsNone(kept.find(first))
        guesses = sessions.Guesses(lambda: self.now)
        for number in range(sessions.MOST_ADDRESSES + 10):
            guesses.failed(f"address {number}", "x")
        self.assertLessEqual(len(guesses._failed), sessions.MOST_ADDRESSES)
