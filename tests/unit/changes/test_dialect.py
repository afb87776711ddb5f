"""What clients of all eras say about a change, and what becomes of it."""

from __future__ import annotations

import math
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from buildbot.changes.dialect import MAX_FILES, change_from, normalized, unknown_keys
from buildbot.model import NewChange
from buildbot.process.outside import BadInput, clean, decoded, decoded_keeping_all


def change(prefix: str | None = None, **described: Any) -> NewChange:
    return change_from(normalized({"who": "ann"} | described), source="s", prefix=prefix)


class TestKeys:
    def test_the_oldest_dialect(self) -> None:
        got = change_from(
            normalized({
                b"who": b"ann", b"files": [b"a.c", b"b.c"], b"comments": b"two\nlines", b"branch": None,
                b"revision": 1234, b"when": 1111111111, b"isdir": 0, b"links": [b"http://example.org/"],
            }),
            source="pb",
        )  # fmt: skip
        assert got == NewChange(
            author="ann",
            comments="two\nlines",
            files=("a.c", "b.c"),
            committed_at=1111111111.0,
            revision="1234",
            source="pb",
        )

    def test_the_newest_dialect(self) -> None:
        got = change(
            project="p", repository="r", files=["x"], comments="c", branch="b", revision="abc", category="cat",
            when=5.5, properties={"n": "v"}, revlink="http://l/", src="git", codebase="cb", committer="bob",
        )  # fmt: skip
        assert got == NewChange(
            author="ann", committer="bob", comments="c", files=("x",), committed_at=5.5, repository="r", project="p",
            codebase="cb", branch="b", revision="abc", category="cat", revlink="http://l/", source="s",
            properties=(("n", "v"),),
        )  # fmt: skip

    def test_second_names(self) -> None:
        got = change_from({"author": "ann", "who": "bob", "when_timestamp": 1, "when": 2}, source="s")
        assert (got.author, got.committed_at) == ("ann", 1.0)

    @pytest.mark.parametrize("key", ["repository", "project", "codebase", "revlink", "comments"])
    @pytest.mark.parametrize("nothing", [None, "", b""])
    def test_missing_text_is_empty(self, key: str, nothing: Any) -> None:
        assert getattr(change(**{key: nothing}), key) == ""

    @pytest.mark.parametrize("key", ["branch", "revision", "category", "committer"])
    @pytest.mark.parametrize("nothing", [None, "", b""])
    def test_missing_facts_are_none(self, key: str, nothing: Any) -> None:
        assert getattr(change(**{key: nothing}), key) is None

    def test_unknown_keys_are_named(self) -> None:
        assert unknown_keys({"who": 1, "zzz": 2, "changeid": 3}) == ["changeid", "zzz"]


class TestRefusals:
    @pytest.mark.parametrize(
        ("described", "word"),
        [
            ({"who": ""}, "author"),
            ({"who": 5}, "'who'"),
            ({"files": "a.c"}, "'files'"),
            ({"files": [3]}, "'files'"),
            ({"files": ["x"] * (MAX_FILES + 1)}, str(MAX_FILES)),
            ({"comments": "x" * 1_000_001}, "1000000"),
            ({"comments": ["x"]}, "'comments'"),
            ({"revision": 1.5}, "'revision'"),
            ({"revision": True}, "'revision'"),
            ({"when": "soon"}, "'when'"),
            ({"when": math.nan}, "'when'"),
            ({"when": math.inf}, "'when'"),
            ({"when": -1}, "'when'"),
            ({"when": 10**400}, "'when'"),
            ({"properties": ["n"]}, "'properties'"),
            ({"properties": {"n": math.nan}}, "finite"),
            ({"properties": {"n": object()}}, "plain"),
            ({"properties": {3: "x"}}, "name"),
            ({"properties": {str(n): n for n in range(1001)}}, "1000"),
        ],
    )
    def test_the_text_names_what_is_wrong(self, described: Any, word: str) -> None:
        with pytest.raises(BadInput, match=word):
            change(**described)

    def test_not_a_dictionary(self) -> None:
        for wrong in ([], None, "x", 3):
            with pytest.raises(BadInput, match="dictionary"):
                normalized(wrong)

    @given(st.dictionaries(
        st.sampled_from(["who", "files", "comments", "when", "revision", "properties", "branch"]) | st.text(),
        st.recursive(
            st.none() | st.booleans() | st.integers() | st.floats() | st.text() | st.binary(),
            lambda inner: st.lists(inner) | st.dictionaries(st.text(), inner),
            max_leaves=10,
        ),
    ))  # fmt: skip
    def test_anything_is_either_taken_or_refused(self, described: dict[str, Any]) -> None:
        try:
            taken = change_from(normalized(described), source="s")
        except BadInput:
            return
        for text in (taken.author, taken.comments, *taken.files):
            text.encode()
            assert "\0" not in text


class TestPrefix:
    def test_only_files_under_it_count_and_it_is_cut(self) -> None:
        got = change(prefix="trunk/", files=["trunk/a", "branches/b", "trunk/sub/c"])
        assert got.files == ("a", "sub/c")

    def test_a_change_without_such_files_is_still_a_change(self) -> None:
        assert change(prefix="trunk/", files=["other/a"]).files == ()


class TestText:
    def test_wrong_utf8_is_replaced_and_the_rest_stays(self) -> None:
        assert change(comments=b"J\xf6rg <b>\0</b>").comments == "J\ufffdrg <b>\ufffd</b>"

    def test_a_lone_surrogate_is_replaced(self) -> None:
        assert clean("a\ud800b") == "a\ufffdb"

    def test_odd_bytes_may_be_kept_as_latin1(self) -> None:
        assert decoded_keeping_all("Zoë".encode() + b" J\xf6rg") == "Zoë Jörg"
        assert decoded_keeping_all(b"\xff\0", "ascii") == "ÿ\ufffd"
        assert decoded(b"\xf6", "latin-1") == "ö"
