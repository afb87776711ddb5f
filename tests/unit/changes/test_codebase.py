"""The configuration's codebaseGenerator."""

from __future__ import annotations

from typing import Any

from twisted.trial.unittest import SynchronousTestCase

from buildbot.changes.codebase import with_codebase
from buildbot.model import NewChange

CHANGE = NewChange(author="Ada", repository="https://example.org/lib.git", files=("a", "b"), properties=(("p", 1),))


class CodebaseTests(SynchronousTestCase):
    def test_the_generator_names_the_codebase(self) -> None:
        seen: list[dict[str, Any]] = []

        def generator(chdict: dict[str, Any]) -> str:
            seen.append(chdict)
            return "lib"

        self.assertEqual(with_codebase(CHANGE, generator).codebase, "lib")
        self.assertEqual((seen[0]["who"], seen[0]["files"], seen[0]["properties"]), ("Ada", ["a", "b"], {"p": 1}))

    def test_the_source_s_own_codebase_stays(self) -> None:
        named = CHANGE._replace(codebase="main")
        self.assertEqual(with_codebase(named, lambda chdict: "lib"), named)
        self.assertEqual(with_codebase(CHANGE, None), CHANGE)

    def test_a_generator_that_fails_loses_no_change(self) -> None:
        self.assertEqual(with_codebase(CHANGE, lambda chdict: chdict["nothing"]), CHANGE)
        self.assertEqual(len(self.flushLoggedErrors(KeyError)), 1)

    def test_an_answer_that_is_no_name_is_not_taken(self) -> None:
        self.assertEqual(with_codebase(CHANGE, lambda chdict: None), CHANGE)
