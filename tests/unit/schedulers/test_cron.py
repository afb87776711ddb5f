"""When schedules fire, by tables: the fields, and what changes of the clock do."""

from __future__ import annotations

import os
import time
from datetime import UTC, datetime
from typing import Any
from zoneinfo import ZoneInfo

from twisted.trial.unittest import SynchronousTestCase

from buildbot.schedulers.cron import FIELDS, Cron


def cron(zone: str = "UTC", **fields: Any) -> Cron:
    given = dict(zip(FIELDS, (0, "*", "*", "*", "*"), strict=True)) | fields
    return Cron(list(given.values()), ZoneInfo(zone))


def utc(text: str) -> float:
    return datetime.fromisoformat(text).replace(tzinfo=UTC).timestamp()


def times(schedule: Cron, start: str, count: int) -> list[str]:
    """The next times after `start`, which is UTC, as the day and the time in UTC."""
    found, moment = [], utc(start)
    for _ in range(count):
        moment = schedule.after(moment)
        found.append(datetime.fromtimestamp(moment, UTC).strftime("%d %H:%M"))
    return found


class TestFields(SynchronousTestCase):
    def test_table(self) -> None:
        start = "2026-03-04T12:00"  # a Wednesday
        for fields, wanted in (
            ({}, ["04 13:00", "04 14:00"]),
            ({"hour": 3}, ["05 03:00", "06 03:00"]),
            ({"minute": 30, "hour": [3, 15]}, ["04 15:30", "05 03:30"]),
            ({"minute": "*/20"}, ["04 12:20", "04 12:40", "04 13:00"]),
            ({"minute": "5,10-12"}, ["04 12:05", "04 12:10", "04 12:11", "04 12:12", "04 13:05"]),
            ({"hour": 0, "dayOfWeek": 0}, ["09 00:00", "16 00:00"]),  # Monday
            ({"hour": 0, "dayOfWeek": 6}, ["08 00:00", "15 00:00"]),  # Sunday
            ({"hour": 0, "dayOfWeek": [0, 2]}, ["09 00:00", "11 00:00", "16 00:00"]),
            ({"hour": 0, "dayOfWeek": "0,2"}, ["09 00:00", "11 00:00", "16 00:00"]),
            ({"hour": 0, "dayOfWeek": "mon-fri"}, ["05 00:00", "06 00:00", "09 00:00"]),
            ({"hour": 0, "dayOfWeek": "1-5"}, ["05 00:00", "06 00:00", "09 00:00"]),  # a range as cron has it
            ({"hour": 0, "dayOfWeek": ["sat", "Sun"]}, ["07 00:00", "08 00:00"]),
            ({"hour": 0, "dayOfMonth": 31, "month": "*"}, ["31 00:00", "31 00:00", "31 00:00"]),
            ({"hour": 0, "dayOfMonth": 1, "month": "jul"}, ["01 00:00"]),
            ({"hour": 0, "dayOfMonth": 6, "dayOfWeek": 0}, ["06 00:00", "09 00:00", "16 00:00"]),  # either, as cron
            ({"hour": 0, "dayOfMonth": "L"}, ["31 00:00", "30 00:00"]),
        ):
            with self.subTest(fields):
                self.assertEqual(times(cron(**fields), start, len(wanted)), wanted)

    def test_the_last_one_is_found_from_the_other_side(self) -> None:
        schedule = cron(hour=3)
        self.assertEqual(schedule.latest(utc("2026-03-04T03:00")), utc("2026-03-04T03:00"))
        self.assertEqual(schedule.latest(utc("2026-03-04T02:59:59")), utc("2026-03-03T03:00"))
        self.assertEqual(schedule.after(utc("2026-03-04T03:00")), utc("2026-03-05T03:00"))

    def test_mistakes_are_told(self) -> None:
        for fields, message in (
            ({"hour": 24}, "24"),
            ({"minute": -1}, ""),
            ({"hour": True}, "hour is a number"),
            ({"hour": 2.5}, "hour is a number"),
            ({"hour": None}, "hour is a number"),
            ({"hour": ""}, "hour is a number"),
            ({"hour": []}, "hour is an empty list"),
            ({"hour": "3 4"}, "has a space in it"),
            ({"dayOfWeek": "moonday"}, ""),
            ({"dayOfWeek": 7}, ""),
            ({"dayOfMonth": 30, "month": 2}, "no time is ever like 0 * 30 2 *"),
        ):
            with self.subTest(fields), self.assertRaises(ValueError) as caught:
                cron(**fields)
            self.assertIn(message, str(caught.exception))


class TestClockThatJumps(SynchronousTestCase):
    """Berlin: on 29 March 2026 at 01:00 UTC 02:00 becomes 03:00, on 25 October at 01:00 UTC 03:00 becomes 02:00."""

    def test_spring(self) -> None:
        for fields, wanted in (
            ({"hour": 1, "minute": 30}, ["28 00:30", "29 00:30", "29 23:30"]),
            ({"hour": 2, "minute": 30}, ["28 01:30", "29 01:30", "30 00:30"]),  # it is 03:30 then
            ({"hour": 2, "minute": 0}, ["28 01:00", "29 01:00", "30 00:00"]),
            ({"hour": 3, "minute": 0}, ["28 02:00", "29 01:00", "30 01:00"]),
            ({"hour": [2, 3], "minute": 30}, ["28 01:30", "28 02:30", "29 01:30", "30 00:30", "30 01:30"]),  # once
            ({"hour": [2, 4], "minute": 30}, ["28 01:30", "28 03:30", "29 01:30", "29 02:30", "30 00:30"]),
        ):
            with self.subTest(fields):
                self.assertEqual(times(cron("Europe/Berlin", **fields), "2026-03-28T00:00", len(wanted)), wanted)

    def test_every_hour_in_spring_is_every_hour(self) -> None:
        found = times(cron("Europe/Berlin"), "2026-03-28T22:30", 6)
        self.assertEqual(found, ["28 23:00", "29 00:00", "29 01:00", "29 02:00", "29 03:00", "29 04:00"])

    def test_autumn(self) -> None:
        for fields, wanted in (
            ({"hour": 1, "minute": 30}, ["24 23:30", "26 00:30"]),
            ({"hour": 2, "minute": 30}, ["25 00:30", "26 01:30"]),  # the first of the two
            ({"hour": 2, "minute": 0}, ["25 00:00", "26 01:00"]),
            ({"hour": 3, "minute": 0}, ["25 02:00", "26 02:00"]),
            ({"hour": [2, 3], "minute": 30}, ["25 00:30", "25 02:30", "26 01:30"]),
        ):
            with self.subTest(fields):
                self.assertEqual(times(cron("Europe/Berlin", **fields), "2026-10-24T12:00", len(wanted)), wanted)

    def test_every_hour_in_autumn_is_every_hour(self) -> None:
        found = times(cron("Europe/Berlin"), "2026-10-24T22:30", 5)
        self.assertEqual(found, ["24 23:00", "25 00:00", "25 01:00", "25 02:00", "25 03:00"])
        found = times(cron("Europe/Berlin", minute="*/30"), "2026-10-24T23:45", 6)
        self.assertEqual(found, ["25 00:00", "25 00:30", "25 01:00", "25 01:30", "25 02:00", "25 02:30"])

    def test_a_jump_of_half_an_hour_and_one_on_the_other_side_of_the_world(self) -> None:
        """Lord Howe: 4 April 2026, 15:00 UTC, half an hour back. New York: 8 March, 07:00 UTC, an hour forward."""
        self.assertEqual(
            times(cron("Australia/Lord_Howe", hour=1, minute=45), "2026-04-03T20:00", 2), ["04 14:45", "05 15:15"]
        )
        self.assertEqual(
            times(cron("America/New_York", hour=2, minute=15), "2026-03-07T00:00", 3),
            ["07 07:15", "08 07:15", "09 06:15"],
        )

    def test_both_directions_agree_the_whole_year(self) -> None:
        for fields in ({"hour": 2, "minute": 30}, {"minute": 30}, {"hour": [1, 2, 3], "minute": [0, 30]}):
            schedule = cron("Europe/Berlin", **fields)
            for begin, end in (("2026-03-28T12:00", "2026-03-30T12:00"), ("2026-10-24T12:00", "2026-10-26T12:00")):
                moment = utc(begin)
                while moment < utc(end):
                    following = schedule.after(moment)
                    self.assertGreater(following, moment)
                    self.assertEqual(schedule.latest(following), following)
                    self.assertEqual(schedule.latest(following - 1), schedule.latest(moment))
                    moment = following

    def test_the_machines_own_time_is_the_default(self) -> None:
        before = os.environ.get("TZ")

        def restore() -> None:
            os.environ.pop("TZ", None)
            if before is not None:
                os.environ["TZ"] = before
            time.tzset()

        self.addCleanup(restore)
        os.environ["TZ"] = "Europe/Berlin"
        time.tzset()
        local = Cron((30, 2, "*", "*", "*"))
        self.assertEqual(times(local, "2026-03-28T00:00", 3), ["28 01:30", "29 01:30", "30 00:30"])
        self.assertEqual(times(local, "2026-10-24T12:00", 2), ["25 00:30", "26 01:30"])
