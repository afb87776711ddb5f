"""No value of a masker is in what comes out, however the bytes come in."""

from __future__ import annotations

import base64
import html
import json
import shlex
from urllib.parse import quote, quote_plus

import pytest
from hypothesis import given
from hypothesis import strategies as st

from buildbot.process.masking import SHORTEST, MaskedStream, Masker, forms_of

LETTERS = st.sampled_from([b"a", b"b", b"\n"])
TEXTS = st.lists(LETTERS, max_size=60).map(b"".join)
VALUES = st.lists(st.lists(LETTERS, min_size=1, max_size=7).map(b"".join), max_size=5, unique=True)


def in_pieces(masker: Masker, data: bytes, cuts: list[int]) -> bytes:
    stream = MaskedStream(lambda: masker)
    told = []
    for begin, end in zip([0, *cuts], [*cuts, len(data)], strict=True):
        told.append(stream.feed(data[begin:end]))
        assert len(stream.held) < max((len(value) for value in masker._marks), default=1)
    return b"".join([*told, stream.flush()])


@given(TEXTS, VALUES, st.data())
def test_pieces_give_what_the_whole_gives(text: bytes, values: list[bytes], data: st.DataObject) -> None:
    masker = Masker({value: b"<%d>" % number for number, value in enumerate(values)})
    cuts = sorted(data.draw(st.lists(st.integers(0, len(text)), max_size=8)))
    assert in_pieces(masker, text, cuts) == masker.mask(text)


@given(TEXTS, VALUES)
def test_no_value_is_left(text: bytes, values: list[bytes]) -> None:
    masked = Masker(dict.fromkeys(values, b"<>")).mask(text)
    assert not any(value in masked for value in values)


@given(TEXTS, VALUES, st.data())
def test_a_new_stream_goes_on_where_bytes_were_held(text: bytes, values: list[bytes], data: st.DataObject) -> None:
    masker = Masker(dict.fromkeys(values, b"<>"))
    cut = data.draw(st.integers(0, len(text)))
    before = MaskedStream(lambda: masker)
    told = before.feed(text[:cut])
    after = MaskedStream(lambda: masker)
    told += after.feed(text[cut - len(before.held) :]) + after.flush()
    assert told == masker.mask(text)


def test_the_longest_value_counts() -> None:
    masker = Masker({b"abc": b"<short>", b"abcdef": b"<long>"})
    assert masker.mask(b"xabcdefabcx") == b"x<long><short>x"
    assert in_pieces(masker, b"abcde", [3]) == b"<short>de"
    assert in_pieces(masker, b"abcdef", [3]) == b"<long>"


def test_only_what_may_be_the_beginning_of_a_value_is_held() -> None:
    stream = MaskedStream(lambda: Masker({b"hunter2": b"<password>"}))
    assert (stream.feed(b"line\n"), stream.held) == (b"line\n", b"")
    assert (stream.feed(b"it is hunt"), stream.held) == (b"it is ", b"hunt")
    assert (stream.feed(b"ing"), stream.held) == (b"hunting", b"")
    assert stream.feed(b"hunter2") == b"<password>"


def test_a_value_that_becomes_known_in_the_middle_counts_from_there() -> None:
    known: dict[bytes, bytes] = {}
    stream = MaskedStream(lambda: Masker(known))
    assert stream.feed(b"one hunter2 ") == b"one hunter2 "
    known[b"hunter2"] = b"<password>"
    assert stream.feed(b"two hunter2 hun") == b"two <password> "
    known[b"hun"] = b"<hun>"
    assert stream.flush() == b"<hun>"


def test_without_values_the_very_bytes_come_back() -> None:
    data = b"anything"
    assert MaskedStream(Masker).feed(data) is data
    assert Masker().mask(data) is data
    assert not Masker({b"": b"<empty>"})


def masked(value: str, text: str | bytes, encoding: str = "utf-8") -> bytes:
    masker = Masker(dict.fromkeys(forms_of(value, encoding), b"<S>"))
    return masker.mask(text.encode() if isinstance(text, str) else text)


TRICKY = "p\"a's&<s>/w o+rd\\é%2"


@pytest.mark.parametrize(
    "shown",
    [
        TRICKY,
        json.dumps(TRICKY),
        json.dumps(TRICKY, ensure_ascii=False),
        repr(TRICKY),
        repr(TRICKY.encode()),
        quote(TRICKY),
        quote(TRICKY, safe=""),
        quote_plus(TRICKY),
        quote(TRICKY).lower(),
        html.escape(TRICKY),
        shlex.quote(TRICKY),
        TRICKY.encode("latin-1"),
        base64.b64encode(TRICKY.encode()),
        base64.urlsafe_b64encode(TRICKY.encode()),
    ],
)
def test_quoted_forms_are_masked(shown: str | bytes) -> None:
    text = b"before " + (shown.encode() if isinstance(shown, str) else shown) + b" after"
    found = masked(TRICKY, text)
    assert b"<S>" in found
    assert b"rd" not in found.replace(b"before", b"") and len(found) < len(b"before  after") + 10


@pytest.mark.parametrize("user", ["", "u", "me", "you"])
@pytest.mark.parametrize("value", ["hunter2!", "hunter2!!", "hunter2!!?"])
@pytest.mark.parametrize("after", ["", "\n", "xy"])
def test_base64_of_something_longer_is_masked(user: str, value: str, after: str) -> None:
    coded = base64.b64encode(f"{user}:{value}{after}".encode()).decode()
    found = masked(value, f"Authorization: Basic {coded}").decode()
    assert "<S>" in found
    rest = found.removeprefix("Authorization: Basic ").replace("<S>", "")
    assert len(rest) <= len(coded) - (len(value) * 8 // 6 - 2)


def test_a_value_of_several_lines_is_masked_line_by_line() -> None:
    value = "-----BEGIN KEY-----\nabcdefgh\nijklmnop\n-----END KEY-----\n"
    assert masked(value, value) == b"<S>\n"
    assert masked(value, value.replace("\n", "\r\n")) == b"<S>\r\n" * 4
    assert masked(value, "1: ijklmnop\n") == b"1: <S>\n"


def test_other_encodings() -> None:
    assert masked("пароль", "пароль".encode("koi8-r"), "koi8-r") == b"<S>"
    assert masked("пароль", "пароль", "no-such-encoding") == b"<S>"


def test_what_is_too_short_is_left_alone() -> None:
    assert masked("ab", "ab abc") == b"ab abc"
    assert masked("a\nbcd\n", "a bcd") == b"a <S>"
    assert all(len(form) >= SHORTEST for form in forms_of("a\nbcd\n\n xyz"))
    assert list(forms_of(" \n")) == []
