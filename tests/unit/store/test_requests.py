"""Build requests, builds and buildsets: every state, who may leave it and how, and what is told."""

from __future__ import annotations

from collections.abc import Callable

from buildbot.model import Build, BuildRequestID, EventKind, Result
from buildbot.store import builds, buildsets, changes, queue, requests, sourcestamps
from buildbot.store.requests import MOST_RETRIES, AlreadyClaimed
from tests.unit.store.cases import NOW, StoreCase


class RequestCase(StoreCase):
    def finish(self, build: Build, result: Result, text: str = "done", now: float = NOW + 60) -> bool:
        return self.store.transact(builds.finish, build.id, result, text, now)

    def cancel(self, id: BuildRequestID) -> bool:
        return self.store.transact(requests.cancel, id, NOW, "ada", "not needed")

    def park(self, id: BuildRequestID) -> None:
        for _ in range(MOST_RETRIES + 1):
            self.finish(self.start(id), Result.RETRY, "slave lost")

    # each makes a request in one state
    def pending(self) -> BuildRequestID:
        return self.ask()

    def claimed(self) -> BuildRequestID:
        id = self.ask()
        self.start(id)
        return id

    def put_back(self) -> BuildRequestID:
        id = self.ask()
        self.finish(self.start(id), Result.RETRY)
        return id

    def parked(self) -> BuildRequestID:
        id = self.ask()
        self.park(id)
        return id

    def complete(self) -> BuildRequestID:
        id = self.ask()
        self.finish(self.start(id), Result.SUCCESS)
        return id

    def cancelled(self) -> BuildRequestID:
        id = self.ask()
        self.cancel(id)
        return id


class TestStates(RequestCase):
    """For each state: what may be done to it. What may not changes nothing and tells nothing."""

    def try_all(self, make: Callable[[], BuildRequestID], allowed: set[str]) -> None:
        for name in ("claim", "put back", "unpark", "complete", "cancel"):
            id = make()
            before, told = self.request(id), len(self.events())
            done = self.do(name, id)
            if name in allowed:
                self.assertTrue(done, name)
                self.assertNotEqual(self.request(id), before, name)
            else:
                self.assertFalse(done, name)
                self.assertEqual(self.request(id), before, name)
                self.assertEqual(len(self.events()), told, name)

    def do(self, name: str, id: BuildRequestID) -> bool:
        before = self.request(id)
        match name:
            case "claim":
                try:
                    self.store.transact(requests.claim, id, NOW + 1)
                except AlreadyClaimed:
                    return False
                return True
            case "put back":
                self.store.transact(requests.put_back, id, NOW + 1, "why")
                return self.request(id) != before
            case "unpark":
                return self.store.transact(requests.unpark, id)
            case "complete":
                return self.store.transact(requests.complete, id, Result.SUCCESS, NOW + 1)
            case _:
                return self.cancel(id)

    def test_pending(self) -> None:
        self.try_all(self.pending, {"claim", "cancel"})

    def test_claimed(self) -> None:
        self.try_all(self.claimed, {"put back", "complete"})

    def test_put_back(self) -> None:
        self.try_all(self.put_back, {"claim", "cancel"})

    def test_parked(self) -> None:
        self.try_all(self.parked, {"unpark", "cancel"})

    def test_complete(self) -> None:
        self.try_all(self.complete, set())

    def test_cancelled(self) -> None:
        self.try_all(self.cancelled, set())


class TestRequests(RequestCase):
    def test_a_second_claim_is_refused_and_makes_no_build(self) -> None:
        id, other = self.ask(), self.ask()
        self.start(id)
        self.assertRaises(AlreadyClaimed, self.start, other, id)
        self.assertEqual(self.store.value("SELECT count(*) FROM builds"), 1)
        self.assertIsNone(self.request(other).claimed_at)

    def test_a_request_that_does_not_exist_cannot_be_claimed(self) -> None:
        self.assertRaises(AlreadyClaimed, self.start, BuildRequestID(99))

    def test_the_order_is_priority_then_age(self) -> None:
        ids = [self.ask(priority=priority) for priority in (0, 5, 0, 5, -1)]
        expected = [ids[1], ids[3], ids[0], ids[2], ids[4]]
        self.assertEqual([request.id for request in requests.pending(self.store, self.builder)], expected)
        first = requests.next_pending(self.store, self.builder)
        self.assertEqual(first and first.id, ids[1])

    def test_parked_ones_are_not_offered_and_hide_nobody(self) -> None:
        parked = [self.ask(priority=9) for _ in range(3)]
        for id in parked:
            self.park(id)
        id = self.ask()
        self.assertEqual([r.id for r in requests.pending(self.store, self.builder, limit=2)], [id])
        first = requests.next_pending(self.store, self.builder)
        self.assertEqual(first and first.id, id)
        self.cancel(id)
        self.assertEqual(queue.heads(self.store, [self.builder]), {})
        self.assertEqual(requests.pending_counts(self.store), {self.builder: 3})

    def test_it_is_parked_after_the_last_retry_and_says_why(self) -> None:
        id = self.ask()
        for retry in range(1, MOST_RETRIES + 1):
            self.finish(self.start(id), Result.RETRY, "slave lost")
            self.assertEqual((self.request(id).retries, self.request(id).parked_reason), (retry, None))
        self.finish(self.start(id), Result.RETRY, "slave lost again")
        self.assertEqual(self.request(id).parked_reason, "tried 4 times; the last time: slave lost again")
        self.assertIsNone(self.request(id).claimed_at)
        self.assertEqual(self.kinds().count(EventKind.REQUEST_REQUEUED), MOST_RETRIES)
        self.assertEqual(self.kinds().count(EventKind.REQUEST_PARKED), 1)

    def test_one_that_was_let_go_has_all_its_retries_again(self) -> None:
        id = self.parked()
        self.store.transact(requests.unpark, id)
        self.park(id)
        self.assertEqual(self.request(id).retries, MOST_RETRIES + 1)

    def test_a_retry_counts_as_another_attempt(self) -> None:
        id = self.ask()
        first = self.start(id)
        self.finish(first, Result.RETRY)
        second = self.start(id)
        self.assertEqual((first.attempt, second.attempt), (1, 2))
        self.assertEqual([build.id for build in builds.of_request(self.store, id)], [first.id, second.id])

    def test_the_head_of_each_queue(self) -> None:
        quick = self.builders["quick"]
        self.ask(builder_ids=[quick])
        self.ask(builder_ids=[quick])
        urgent = self.ask(builder_ids=[quick], priority=1)
        mine = self.ask()
        heads = queue.heads(self.store, [quick, self.builder])
        self.assertEqual({id: head.id for id, head in heads.items()}, {quick: urgent, self.builder: mine})
        self.assertEqual(list(queue.heads(self.store, [self.builder])), [self.builder])
        self.assertEqual(requests.pending_counts(self.store), {quick: 3, self.builder: 1})


class TestBuilds(RequestCase):
    def test_numbers_count_from_one_in_each_builder(self) -> None:
        self.assertEqual([self.start(self.ask()).number for _ in range(3)], [1, 2, 3])
        quick = self.builders["quick"]
        id = self.ask(builder_ids=[quick])
        build = self.store.transact(
            lambda store: builds.start(store, builder=quick, slave=self.slave, claimed=[id], reason="", now=NOW)
        )
        self.assertEqual(build.number, 1)

    def test_a_number_of_a_reverted_build_is_given_again(self) -> None:
        taken = self.claimed()
        self.assertRaises(AlreadyClaimed, self.start, self.ask(), taken)
        self.assertEqual(self.start(self.ask()).number, 2)

    def test_it_finishes_once(self) -> None:
        build = self.start(self.ask())
        self.assertTrue(self.finish(build, Result.FAILURE, "failed compile"))
        told = len(self.events())
        self.assertFalse(self.finish(build, Result.SUCCESS))
        self.assertEqual(len(self.events()), told)
        found = self.build(build.id)
        self.assertEqual(
            (found.result, found.state_text, found.complete_at), (Result.FAILURE, "failed compile", NOW + 60)
        )

    def test_its_text_does_not_change_any_more(self) -> None:
        build = self.start(self.ask())
        self.store.transact(builds.set_text, build.id, "compiling")
        self.assertEqual(self.build(build.id).state_text, "compiling")
        self.finish(build, Result.SUCCESS, "done")
        self.store.transact(builds.set_text, build.id, "compiling")
        self.assertEqual(self.build(build.id).state_text, "done")

    def test_each_of_several_at_once_on_a_slave_has_a_slot(self) -> None:
        made = [self.start(self.ask()) for _ in range(3)]
        self.assertEqual([build.slot for build in made], [1, 2, 3])
        self.finish(made[1], Result.SUCCESS)
        self.assertEqual([self.start(self.ask()).slot for _ in range(2)], [2, 4])
        self.assertEqual(self.build(made[2].id).slot, 3)
        other = self.store.transact(
            builds.start, builder=self.builder, slave=self.slaves["al"], claimed=[self.ask()], reason="", now=NOW
        )
        self.assertEqual(other.slot, 1)

    def test_what_is_merged_says_so_and_why(self) -> None:
        first, second = self.ask(), self.ask()
        build = self.store.transact(
            builds.start,
            builder=self.builder,
            slave=self.slave,
            claimed=[first, second],
            because={second: "they ask for the same"},
            reason="",
            now=NOW,
        )
        merged = next(event for event in self.events() if event.kind is EventKind.REQUEST_MERGED)
        self.assertEqual(
            (merged.subject_id, merged.detail),
            (second, {"into": first, "why": "they ask for the same", "build_id": build.id}),
        )
        self.assertEqual(
            self.store.column("SELECT merged_because FROM build_requests_of_builds ORDER BY request_id"),
            [None, "they ask for the same"],
        )

    def test_the_newest_of_several_stamps_is_built(self) -> None:
        older, newer = self.change(revision="1"), self.change(revision="2")
        late = self.ask(changes=[newer])  # asked for first, by a scheduler that does not wait
        self.store.execute("UPDATE source_stamps SET revision = 2")
        early = self.ask(changes=[older])
        forced = self.ask()
        build = self.start(late, early, forced)
        (stamp,) = sourcestamps.of_build(self.store, build.id)
        blamed = [change.id for change in changes.of_build(self.store, build.id)]
        self.assertEqual((stamp.revision, blamed), ("2", [older, newer]))
        both = self.start(self.ask(), last := self.ask())
        (stamp,) = sourcestamps.of_build(self.store, both.id)
        self.assertEqual(stamp.id, sourcestamps.of_buildset(self.store, self.request(last).buildset_id)[0].id)

    def test_merged_requests_share_its_result(self) -> None:
        ids = [self.ask() for _ in range(3)]
        self.finish(self.start(*ids), Result.WARNINGS)
        self.assertEqual([self.request(id).result for id in ids], [Result.WARNINGS] * 3)
        self.assertEqual(self.kinds().count(EventKind.BUILDSET_COMPLETE), 3)

    def test_what_is_told_and_in_which_order(self) -> None:
        build = self.start(self.ask())
        self.finish(build, Result.SUCCESS)
        self.assertEqual(
            self.kinds(),
            [
                EventKind.BUILDSET_SUBMITTED,
                EventKind.REQUEST_CLAIMED,
                EventKind.BUILD_STARTED,
                EventKind.BUILDSET_COMPLETE,
                EventKind.BUILD_FINISHED,
            ],
        )
        finished = self.events()[-1]
        self.assertEqual((finished.subject_id, finished.detail["number"], finished.detail["result"]), (build.id, 1, 0))

    def test_ways_to_find_one(self) -> None:
        made = [self.start(self.ask()) for _ in range(4)]
        for build in made[:2]:
            self.finish(build, Result.SUCCESS)
        ids = [build.id for build in made]
        self.assertEqual([build.id for build in builds.running(self.store)], ids[2:])
        self.assertEqual([build.id for build in builds.newest(self.store, self.builder, 2)], [ids[3], ids[2]])
        self.assertEqual([b.id for b in builds.newest(self.store, self.builder, 2, before=3)], [ids[1], ids[0]])
        for number, id in ((1, ids[0]), (4, ids[3]), (-1, ids[3]), (-4, ids[0])):
            found = builds.by_number(self.store, self.builder, number)
            self.assertEqual(found and found.id, id, number)
        self.assertIsNone(builds.by_number(self.store, self.builder, 5))
        self.assertIsNone(builds.by_number(self.store, self.builder, -5))
        before = builds.before(self.store, made[3])
        self.assertEqual(before and before.id, ids[1])  # the newest one that is finished
        self.assertIsNone(builds.before(self.store, made[0]))


class TestBuildsets(RequestCase):
    def test_complete_when_its_last_request_is(self) -> None:
        id, (first, second) = self.submit([self.builder, self.builders["quick"]])
        self.finish(self.start(first), Result.SUCCESS)
        self.assertIsNone(self.buildset(id).complete_at)
        self.finish(self.start(second), Result.FAILURE)
        self.assertEqual((self.buildset(id).complete_at, self.buildset(id).result), (NOW + 60, Result.FAILURE))
        self.assertEqual(self.kinds().count(EventKind.BUILDSET_COMPLETE), 1)

    def test_its_result_is_the_worst(self) -> None:
        table = [
            ((Result.SUCCESS, Result.WARNINGS), Result.WARNINGS),
            ((Result.SKIPPED, Result.SUCCESS), Result.SUCCESS),
            ((Result.FAILURE, Result.WARNINGS), Result.FAILURE),
            ((Result.EXCEPTION, Result.FAILURE), Result.EXCEPTION),
            ((Result.CANCELLED, Result.EXCEPTION), Result.CANCELLED),
            ((Result.SKIPPED, Result.SKIPPED), Result.SKIPPED),
        ]
        for results, worst in table:
            id, asked = self.submit([self.builder, self.builders["quick"]])
            for request, result in zip(asked, results, strict=True):
                self.finish(self.start(request), result)
            self.assertEqual(self.buildset(id).result, worst, results)

    def test_a_retry_keeps_it_open(self) -> None:
        id, (request,) = self.submit()
        self.finish(self.start(request), Result.RETRY)
        self.assertIsNone(self.buildset(id).complete_at)

    def test_without_builders_it_is_complete_at_once(self) -> None:
        id, asked = self.submit([])
        self.assertEqual((asked, self.buildset(id).complete_at, self.buildset(id).result), ([], NOW, Result.SUCCESS))

    def test_a_cancelled_request_counts(self) -> None:
        id, (request,) = self.submit()
        self.cancel(request)
        self.assertTrue(self.store.transact(buildsets.complete_if_done, id, NOW))
        self.assertFalse(self.store.transact(buildsets.complete_if_done, id, NOW))
        self.assertEqual(self.buildset(id).result, Result.CANCELLED)

    def test_it_keeps_what_it_was_given(self) -> None:
        parent = self.start(self.ask())
        id, (request,) = self.submit(
            external_id="try-7",
            scheduler="try",
            priority=3,
            waited_for=True,
            parent_build_id=parent.id,
            parent_relationship="Triggered from",
        )
        found = self.buildset(id)
        self.assertEqual(
            (found.external_id, found.scheduler, found.parent_build_id, found.parent_relationship, found.reason),
            ("try-7", "try", parent.id, "Triggered from", "because"),
        )
        self.assertEqual((self.request(request).priority, self.request(request).waited_for), (3, True))
        self.assertEqual([r.id for r in requests.of_buildset(self.store, id)], [request])
