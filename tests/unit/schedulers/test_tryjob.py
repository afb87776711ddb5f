"""The file of a try job: every version of its format, and everything that can be wrong with one."""

from __future__ import annotations

import base64
import json
from contextlib import suppress
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from buildbot.process.outside import BadInput
from buildbot.schedulers.tryjob import LARGEST_PATCH, TryJob, encoded, job_from, parse

PATCH = b"--- a/x\n+++ b/x\n@@ -1 +1 @@\n-1:a,\n+\xff\n"


def netstrings(*parts: bytes) -> bytes:
    return b"".join(b"%d:%s," % (len(part), part) for part in parts)


HEAD = (b"job-1", b"topic", b"r5", b"1", PATCH)
JOB = {"jobid": "job-1", "branch": "topic", "revision": "r5", "patch_level": 1, "patch": PATCH}


@pytest.mark.parametrize(
    ("file", "job"),
    [
        (netstrings(b"1", *HEAD, b"full", b"quick"), TryJob(**JOB, builder_names=("full", "quick"))),
        (netstrings(b"1", b"j", b"", b"", b"0", b""), TryJob(jobid="j")),
        (netstrings(b"2", *HEAD, b"repo", b"proj", b"full"),
         TryJob(**JOB, repository="repo", project="proj", builder_names=("full",))),
        (netstrings(b"3", *HEAD, b"repo", b"proj", b"Ann", b"full"),
         TryJob(**JOB, repository="repo", project="proj", who="Ann", builder_names=("full",))),
        (netstrings(b"4", *HEAD, b"repo", b"proj", b"Ann", b"why\nnot"),
         TryJob(**JOB, repository="repo", project="proj", who="Ann", comment="why\nnot")),
    ],
)  # fmt: skip
def test_the_versions_of_netstrings(file: bytes, job: TryJob) -> None:
    assert parse(file) == job
    assert parse(file + b"\n") == job


def in_json(version: bytes, **described: Any) -> bytes:
    return netstrings(version, json.dumps({"jobid": "j", **described}).encode())


def test_the_versions_of_json() -> None:
    described: dict[str, Any] = {
        "branch": None, "baserev": "r5", "patch_level": 0, "repository": "r", "project": "p", "who": "Zoë",
        "comment": None, "builderNames": ["full"], "properties": {"a": [1, None]},
    }  # fmt: skip
    job = TryJob(jobid="j", revision="r5", repository="r", project="p", who="Zoë", builder_names=("full",),
                 properties={"a": [1, None]}, patch="diff ü\n".encode())  # fmt: skip
    assert parse(in_json(b"5", patch_body="diff ü\n", **described)) == job
    binary = base64.b64encode(PATCH).decode()
    assert parse(in_json(b"6", patch_body_base64=binary, **described)).patch == PATCH


def test_none_in_words_is_the_newest() -> None:
    assert parse(in_json(b"5", baserev="None", patch_body="")).revision is None


@pytest.mark.parametrize(
    ("file", "word"),
    [
        (b"", "empty"),
        (b"hello", "no row of netstrings"),
        (b"9" * 12 + b":x,", "no row of netstrings"),
        (b"1:5,100:{},", "cut off"),
        (b"1:5,2:{}", "cut off"),
        (netstrings(b"1", b"j"), "at least 5 parts"),
        (netstrings(b"9", b"j"), "version '9'"),
        (netstrings(b"5", b"["), "JSON cannot be read"),
        (netstrings(b"5", b"[" * 100_000), "JSON cannot be read"),
        (netstrings(b"5", b"[]"), "a JSON object"),
        (netstrings(b"5", b"{}", b"{}"), "a JSON object"),
        (netstrings(b"5", b"{}"), "no jobid"),
        (in_json(b"6", patch_body_base64="?"), "base64"),
        (in_json(b"5", patch_level=-1), "level"),
        (in_json(b"5", patch_level="one"), "level"),
        (in_json(b"5", patch_level=[1]), "level"),
        (in_json(b"5", patch_body=5), "must be text"),
        (in_json(b"5", patch_subdir="/etc"), "below the source"),
        (in_json(b"5", patch_subdir="a/../../b"), "below the source"),
        (in_json(b"5", branch="x" * 1001), "at most 1000"),
        (in_json(b"5", comment="x" * 300_000), "at most 262144"),
        (in_json(b"5", builderNames="full"), "a list"),
        (in_json(b"5", builderNames=[1]), "text"),
        (in_json(b"5", builderNames=["x"] * 1001), "at most 1000"),
        (in_json(b"5", properties=[]), "a dictionary"),
        (in_json(b"5", properties={"a": float("nan")}), "finite"),
        (in_json(b"5", properties={"a": "x" * 300_000}), "at most 262144"),
        (in_json(b"5", patch_body="x" * (LARGEST_PATCH + 1)), f"at most {LARGEST_PATCH}"),
        (b"x" * 7_000_000, "at most"),
    ],
)
def test_what_is_wrong_is_told(file: bytes, word: str) -> None:
    with pytest.raises(BadInput, match=word):
        parse(file)


def test_text_that_cannot_be_stored_is_made_storable() -> None:
    job = parse(netstrings(b"5", rb'{"jobid": "a\ud800", "who": "x\u0000", "properties": {"p\ud800": "\udfff"}}'))
    assert (job.jobid, job.who, dict(job.properties)) == ("a\ufffd", "x\ufffd", {"p\ufffd": "\ufffd"})


def test_a_patch_in_pieces() -> None:
    assert job_from({"patch_body": [b"ab", b"c"]}).patch == b"abc"
    with pytest.raises(BadInput, match="pieces"):
        job_from({"patch_body": [b"ab", 5]})


def test_what_is_written_can_be_read() -> None:
    for patch in (b"", "ü\n".encode(), PATCH):
        job = TryJob(**JOB | {"patch": patch}, who="Ann", comment="c", builder_names=("full",), properties={"a": "1"},
                     repository="r", project="p", subdir="lib")  # fmt: skip
        assert parse(encoded(job)) == job


@given(st.binary(max_size=60))
def test_no_bytes_do_worse_than_to_be_refused(tail: bytes) -> None:
    for file in (tail, b"1:5," + tail, netstrings(b"5", tail), netstrings(b"4", *HEAD) + tail):
        with suppress(BadInput):
            parse(file)
