"""The registry of locks: order, limits, circles; and against a model, whatever happens."""

from __future__ import annotations

from typing import Any

from hypothesis import settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, initialize, invariant, precondition, rule
from twisted.internet.defer import CancelledError, Deferred
from twisted.trial.unittest import SynchronousTestCase

from buildbot.model import BuildID
from buildbot.process.lockqueue import Claim, LockDeadlock, LockRefused, Locks, LockUser
from buildbot.process.locks import MasterLock, SlaveLock, Wants, wants_of

DISK = MasterLock("disk", 2)
NET = MasterLock("net")
CPU = SlaveLock("cpu", 1, maxCountForSlave={"big": 3, "none": 0})


def build(number: int) -> LockUser:
    return LockUser("b", number, None, BuildID(number))


def step(number: int, name: str = "s") -> LockUser:
    return LockUser("b", number, name, BuildID(number))


class TestLocks(SynchronousTestCase):
    def setUp(self) -> None:
        self.locks = Locks()
        self.rings: list[None] = []
        self.locks.released.append(lambda: self.rings.append(None))
        self.now = 0.0
        self.said: dict[LockUser, str] = {}

    def ask(self, user: LockUser, *given: Any, slave: str = "bot") -> Deferred[None]:
        self.now += 1
        return self.locks.ask(user, wants_of(given, slave), self.now, lambda text: self.said.update({user: text}))

    def has(self, user: LockUser) -> bool:
        claim = self.locks._claims.get(user)
        return claim is not None and claim.held

    def test_what_is_free_is_had_at_once(self) -> None:
        self.successResultOf(self.ask(step(1), DISK))
        self.assertTrue(self.has(step(1)))

    def test_a_lock_admits_as_many_as_it_says(self) -> None:
        self.successResultOf(self.ask(step(1), DISK))
        self.successResultOf(self.ask(step(2), DISK.access("counting")))
        third = self.ask(step(3), DISK)
        self.assertNoResult(third)
        self.assertEqual(self.said[step(3)], "lock disk held by b/1 (step s), b/2 (step s)")
        self.locks.end(step(1))
        self.successResultOf(third)
        self.assertEqual(len(self.rings), 1)

    def test_counts_are_of_the_limit_and_zero_is_nothing(self) -> None:
        self.successResultOf(self.ask(step(1), DISK.access("counting", 2)))
        self.successResultOf(self.ask(step(2), DISK.access("counting", 0)))
        self.assertNoResult(self.ask(step(3), DISK))

    def test_exclusive_is_all_of_it(self) -> None:
        self.successResultOf(self.ask(step(1), DISK.access("exclusive")))
        counting, exclusive = self.ask(step(2), DISK.access("counting", 0)), self.ask(step(3), DISK.access("exclusive"))
        self.assertNoResult(counting)
        self.locks.end(step(1))
        self.successResultOf(counting)
        self.successResultOf(exclusive)  # who takes nothing keeps nobody out

    def test_an_exclusive_one_is_not_passed_by_counting_ones(self) -> None:
        self.successResultOf(self.ask(step(1), DISK))
        exclusive = self.ask(step(2), DISK.access("exclusive"))
        counting = self.ask(step(3), DISK)
        self.assertNoResult(counting)
        self.assertEqual(self.said[step(3)], "lock disk after b/2 (step s)")
        self.locks.end(step(1))
        self.successResultOf(exclusive)
        self.assertNoResult(counting)
        self.assertEqual(self.said[step(3)], "lock disk held by b/2 (step s)")
        self.locks.end(step(2))
        self.successResultOf(counting)

    def test_many_are_had_together_or_not_at_all(self) -> None:
        self.successResultOf(self.ask(step(1), NET))
        both = self.ask(step(2), DISK.access("exclusive"), NET)
        self.assertNoResult(both)
        self.assertFalse(self.locks.state(DISK.key_on("")).holders)
        self.locks.end(step(1))
        self.successResultOf(both)
        self.assertEqual(len(self.locks.claims_of(BuildID(2))), 1)

    def test_who_waits_longer_comes_first_though_it_asks_later(self) -> None:
        self.successResultOf(self.ask(step(1), NET))
        late = self.ask(step(2), NET)
        early = self.locks.ask(step(3), wants_of([NET], "bot"), 0.5)
        self.locks.end(step(1))
        self.successResultOf(early)
        self.assertNoResult(late)

    def test_slave_locks_count_on_each_slave(self) -> None:
        self.successResultOf(self.ask(step(1), CPU, slave="one"))
        self.successResultOf(self.ask(step(2), CPU, slave="two"))
        self.successResultOf(self.ask(step(3), CPU.access("counting", 3), slave="big"))
        self.assertNoResult(self.ask(step(4), CPU, slave="one"))
        self.assertEqual(self.said[step(4)], "lock cpu of one held by b/1 (step s)")

    def test_what_can_never_be_had_is_refused(self) -> None:
        failure = self.failureResultOf(self.ask(step(1), CPU, slave="none"), LockRefused)
        self.assertIn("lock cpu of none admits 0 at once, and 1 are wanted", str(failure.value))
        self.failureResultOf(self.ask(step(2), DISK.access("counting", 3)), LockRefused)
        self.assertEqual(self.locks.overview(), [])

    def test_a_lock_named_twice_is_taken_once(self) -> None:
        self.successResultOf(self.ask(step(1), DISK, DISK))
        self.assertNoResult(self.ask(step(2), DISK))

    def test_waiting_ends_when_it_is_cancelled(self) -> None:
        self.successResultOf(self.ask(step(1), NET))
        second, third = self.ask(step(2), NET), self.ask(step(3), NET)
        second.cancel()
        self.failureResultOf(second, CancelledError)
        self.locks.end(step(1))
        self.successResultOf(third)

    def test_waiting_ends_with_a_reason(self) -> None:
        self.successResultOf(self.ask(step(1), NET))
        second = self.ask(step(2), NET)
        self.locks.fail(step(2), ValueError("no"))
        self.failureResultOf(second, ValueError)
        self.locks.fail(step(1), ValueError("it has it"))
        self.assertTrue(self.has(step(1)))

    def test_the_end_of_a_build_ends_all_of_it(self) -> None:
        self.locks.hold(build(1), wants_of([DISK], "bot"), 0.0)
        self.successResultOf(self.ask(step(1), NET))
        after = self.ask(step(2), NET, DISK.access("exclusive"))
        self.locks.end_build(BuildID(1))
        self.successResultOf(after)
        self.assertEqual(self.locks.claims_of(BuildID(1)), [])
        self.locks.end_build(BuildID(1))

    # -- limits that change

    def test_a_limit_that_grows_lets_those_in_who_wait(self) -> None:
        self.locks.configure([NET])
        self.successResultOf(self.ask(step(1), NET))
        second = self.ask(step(2), NET)
        self.locks.configure([MasterLock("net", 2)])
        self.successResultOf(second)
        self.assertEqual(len(self.locks.state(NET.key_on("")).holders), 2)

    def test_a_limit_that_shrinks_leaves_those_who_hold(self) -> None:
        self.locks.configure([DISK])
        self.successResultOf(self.ask(step(1), DISK))
        self.successResultOf(self.ask(step(2), DISK))
        self.locks.configure([MasterLock("disk", 1)])
        third = self.ask(step(3), DISK)
        self.assertEqual((self.has(step(1)), self.has(step(2))), (True, True))
        self.locks.end(step(1))
        self.assertNoResult(third)
        self.locks.end(step(2))
        self.successResultOf(third)

    def test_who_can_never_have_it_any_more_is_told(self) -> None:
        self.locks.configure([DISK])
        self.successResultOf(self.ask(step(1), DISK))
        second, third = self.ask(step(2), DISK.access("counting", 2)), self.ask(step(3), DISK)
        self.locks.configure([MasterLock("disk", 1)])
        self.failureResultOf(second, LockRefused)
        self.locks.end(step(1))
        self.successResultOf(third)

    # -- circles

    def test_two_that_wait_for_each_other_are_noticed(self) -> None:
        self.locks.hold(build(1), wants_of([DISK.access("exclusive")], "bot"), 0.0)
        self.locks.hold(build(2), wants_of([NET], "bot"), 0.0)
        first = self.ask(step(1), NET)
        failure = self.failureResultOf(self.ask(step(2), DISK), LockDeadlock)
        self.assertEqual(
            str(failure.value),
            "builds wait for each other's locks: b/1 (step s) waits for lock net held by b/2, and "
            "b/2 (step s) waits for lock disk held by b/1",
        )
        self.assertNoResult(first)
        self.locks.end_build(BuildID(2))
        self.successResultOf(first)

    def test_a_circle_of_three_with_counts(self) -> None:
        a, b, c = (MasterLock(name, 2) for name in "abc")
        for number, lock in enumerate((a, b, c), 1):
            self.locks.hold(build(number), wants_of([lock.access("counting", 2)], "bot"), 0.0)
        waiting = [self.ask(step(1), b), self.ask(step(2), c)]
        self.failureResultOf(self.ask(step(3), a), LockDeadlock)
        self.locks.end_build(BuildID(3))
        self.successResultOf(waiting[1])

    def test_no_circle_while_someone_else_can_let_go(self) -> None:
        two = MasterLock("two", 2)
        self.locks.hold(build(1), wants_of([two], "bot"), 0.0)
        self.locks.hold(build(2), wants_of([NET], "bot"), 0.0)
        self.locks.hold(build(3), wants_of([two], "bot"), 0.0)  # it only runs
        waiting = [self.ask(step(1), NET), self.ask(step(2), two)]
        for each in waiting:
            self.assertNoResult(each)
        self.locks.end_build(BuildID(3))
        self.successResultOf(waiting[1])

    def test_who_is_waited_for_passes_those_who_wait(self) -> None:
        self.locks.hold(build(1), wants_of([NET], "bot"), 0.0)
        second = self.ask(step(2), NET, DISK.access("exclusive"))  # waits for build 1, and would keep it from disk
        self.successResultOf(self.ask(step(1), DISK))
        self.locks.end_build(BuildID(1))
        self.successResultOf(second)

    def test_who_is_waited_for_in_the_end_passes_too(self) -> None:
        other = MasterLock("other")
        self.locks.hold(build(1), wants_of([NET], "bot"), 0.0)
        self.locks.hold(build(3), wants_of([other], "bot"), 0.0)
        third = self.ask(step(3), NET)  # waits for build 1
        second = self.ask(step(2), other, DISK.access("exclusive"))  # waits for build 3
        self.successResultOf(self.ask(step(1), DISK))
        self.locks.end_build(BuildID(1))
        self.successResultOf(third)
        self.locks.end_build(BuildID(3))
        self.successResultOf(second)

    def test_one_that_becomes_waited_for_passes_then(self) -> None:
        other = MasterLock("other")
        self.locks.hold(build(1), wants_of([NET], "bot"), 0.0)
        self.locks.hold(build(3), wants_of([other], "bot"), 0.0)
        self.ask(step(2), other, DISK.access("exclusive"))  # waits for build 3
        first = self.ask(step(1), DISK)  # behind it
        self.assertNoResult(first)
        self.ask(step(3), NET)  # now build 3 waits for build 1
        self.successResultOf(first)

    # -- builders

    def test_steps_wait_behind_the_next_build_of_a_builder(self) -> None:
        self.successResultOf(self.ask(step(1), DISK))
        exclusive = wants_of([DISK.access("exclusive")], "bot")
        self.locks.expect([(LockUser("e"), exclusive)], self.now)
        second = self.ask(step(2), DISK)
        self.assertNoResult(second)
        self.assertEqual(self.said[step(2)], "lock disk after the next build of e")
        self.locks.end(step(1))
        self.assertNoResult(second)
        self.assertEqual(self.locks.available(LockUser("e"), exclusive), [])
        self.locks.expect([], self.now)  # it wants no more
        self.successResultOf(second)

    def test_a_builder_waits_behind_steps_that_came_before_it(self) -> None:
        self.successResultOf(self.ask(step(1), NET))
        second = self.ask(step(2), NET)
        wants = wants_of([NET], "bot")
        self.locks.end(step(1))
        self.successResultOf(second)
        said = [str(each) for each in self.locks.available(LockUser("e"), wants)]
        self.assertEqual(said, ["lock net held by b/2 (step s)"])

    def test_a_builder_keeps_its_place_from_pass_to_pass(self) -> None:
        self.successResultOf(self.ask(step(1), NET))
        wants = wants_of([NET], "bot")
        self.locks.expect([(LockUser("e"), wants)], 1.5)
        second = self.ask(step(2), NET)
        self.locks.expect([(LockUser("e"), wants)], 9.0)
        self.locks.end(step(1))
        self.assertNoResult(second)
        self.assertEqual(self.locks.available(LockUser("e"), wants), [])

    # -- after a restart

    def test_nobody_gets_anything_until_all_have_said_what_they_hold(self) -> None:
        self.locks.freeze()
        waited = self.ask(step(2), NET)
        self.locks.hold(step(1), wants_of([NET], "bot"), 0.0)
        self.locks.thaw()
        self.assertNoResult(waited)
        self.locks.end(step(1))
        self.successResultOf(waited)

    def test_the_overview_names_every_lock(self) -> None:
        self.locks.configure([DISK, NET, CPU])
        self.successResultOf(self.ask(step(1), NET))
        self.ask(step(2), NET)
        self.successResultOf(self.ask(step(3), CPU, slave="one"))
        seen = {str(each.key): (each.limit, len(each.holders), len(each.queue)) for each in self.locks.overview()}
        self.assertEqual(seen, {"disk": (2, 0, 0), "net": (1, 1, 1), "cpu of one": (1, 1, 0)})

    def test_those_far_back_are_not_told_each_change(self) -> None:
        self.successResultOf(self.ask(step(0), NET))
        for number in range(1, 101):
            self.ask(step(number), NET)
        self.said.clear()
        self.locks.end(step(0))
        self.assertEqual(len(self.said), 20)


LOCKS = [MasterLock("one"), MasterLock("two", 2)]
ACCESS = st.one_of(
    st.sampled_from(LOCKS).map(lambda lock: lock.access("exclusive")),
    st.tuples(st.sampled_from(LOCKS), st.integers(0, 2)).map(
        lambda pair: pair[0].access("counting", min(pair[1], pair[0].maxCount))
    ),
)
WANTS = st.lists(ACCESS, min_size=1, max_size=2, unique_by=lambda access: access.lock.name).map(
    lambda given: wants_of(given, "bot")
)


class Model:
    """What is held and who waits, as simply as it can be said."""

    def __init__(self) -> None:
        self.held: dict[LockUser, Wants] = {}
        self.waiting: list[tuple[LockUser, Wants]] = []

    @staticmethod
    def admits(uses: list[Any], limit: int) -> bool:
        exclusive = [use for use in uses if use.mode == "exclusive"]
        total = sum(use.count for use in uses if use.mode == "counting")
        return len(exclusive) <= 1 and (total == 0 if exclusive else total <= limit)

    def must_wait(self, user: LockUser, wants: Wants, ahead: list[tuple[LockUser, Wants]]) -> bool:
        for key, access in wants.items():
            uses = [held[key] for other, held in self.held.items() if key in held and other != user]
            uses += [waited[key] for _, waited in ahead if key in waited]
            last = access.mode == "counting" and any(use.mode == "exclusive" for use in uses)
            if last or not self.admits([*uses, access], access.lock.maxCount):
                return True
        return False


class LocksAndModel(RuleBasedStateMachine):
    """Builds with and without locks of their own, and steps that ask, get, are stopped, and end."""

    @initialize()
    def begin(self) -> None:
        self.locks = Locks()
        self.numbers = 0
        self.builds: dict[int, Wants] = {}
        self.steps: dict[int, tuple[Wants, Deferred[None]]] = {}
        self.outcomes: dict[int, Any] = {}
        self.asked: list[int] = []
        self.passed: list[Claim] = []

    def claims(self) -> list[Claim]:
        return list(self.locks._claims.values())

    @rule(wants=st.one_of(st.just({}), WANTS))
    def start_build(self, wants: Wants) -> None:
        if wants and self.locks.available(LockUser("b"), wants):
            return
        self.numbers += 1
        self.builds[self.numbers] = wants
        self.locks.hold(build(self.numbers), wants, 0.0)

    @precondition(lambda self: set(self.builds) - set(self.steps))
    @rule(data=st.data(), wants=WANTS)
    def ask(self, data: Any, wants: Wants) -> None:
        number = data.draw(st.sampled_from(sorted(set(self.builds) - set(self.steps))))
        wants = {key: access for key, access in wants.items() if key not in self.builds[number]}
        if not wants:
            return
        asked = self.locks.ask(step(number), wants, float(len(self.asked)))
        self.asked.append(number)
        self.steps[number] = (wants, asked)
        asked.addCallbacks(lambda _: self.granted(number), lambda failure: self.failed(number, failure))

    def granted(self, number: int) -> None:
        """Nobody is passed who waits longer. Who holds a lock may pass those that wait for it: see above."""
        if self.builds.get(number):
            return
        mine = self.locks._claims[step(number)]
        model = Model()
        for claim in sorted(self.claims()):
            if claim is not mine and (claim < mine or claim.user.step is None) and claim.held:
                model.held[claim.user] = claim.wants
            elif claim < mine and not claim.held:
                model.waiting.append((claim.user, claim.wants))
        if model.must_wait(mine.user, mine.wants, model.waiting):
            self.passed.append(mine)

    def failed(self, number: int, failure: Any) -> None:
        self.steps.pop(number, None)
        self.outcomes[number] = failure.value

    @precondition(lambda self: any(asked.called for _, asked in self.steps.values()))
    @rule(data=st.data())
    def end_step(self, data: Any) -> None:
        number = data.draw(st.sampled_from(sorted(n for n, (_, asked) in self.steps.items() if asked.called)))
        del self.steps[number]
        self.locks.end(step(number))

    @precondition(lambda self: any(not asked.called for _, asked in self.steps.values()))
    @rule(data=st.data())
    def stop_waiting(self, data: Any) -> None:
        number = data.draw(st.sampled_from(sorted(n for n, (_, asked) in self.steps.items() if not asked.called)))
        self.steps[number][1].cancel()
        assert isinstance(self.outcomes.pop(number), CancelledError)

    @precondition(lambda self: self.builds)
    @rule(data=st.data())
    def end_build(self, data: Any) -> None:
        number = data.draw(st.sampled_from(sorted(self.builds)))
        del self.builds[number]
        waited = self.steps.pop(number, None)
        self.locks.end_build(BuildID(number))
        if waited is not None:
            waited[1].addErrback(lambda _: None)

    @rule(wants=WANTS)
    def expect(self, wants: Wants) -> None:
        self.locks.expect([(LockUser("e"), wants)], float(len(self.asked)))

    @rule()
    def expect_nothing(self) -> None:
        self.locks.expect([], 0.0)

    @invariant()
    def nobody_is_passed(self) -> None:
        assert not self.passed

    @invariant()
    def limits_are_kept(self) -> None:
        for key, lock in ((lock.key_on(""), lock) for lock in LOCKS):
            uses = [claim.wants[key] for claim in self.claims() if claim.held and key in claim.wants]
            assert Model.admits(uses, lock.maxCount), uses

    @invariant()
    def only_what_runs_has_anything(self) -> None:
        for claim in self.claims():
            if claim.user.number is None:
                continue
            assert claim.user.number in self.builds
            if claim.user.step is not None:
                assert claim.user.number in self.steps
        for number, (_, asked) in self.steps.items():
            assert self.locks._claims[step(number)].held == asked.called

    @invariant()
    def whoever_waits_has_a_reason(self) -> None:
        """And whoever has none is not waiting: of those in the queue, each is kept by holders or by those ahead."""
        model = Model()
        model.held = {claim.user: claim.wants for claim in self.claims() if claim.held}
        for claim in sorted(claim for claim in self.claims() if not claim.held):
            if claim.user.number is None or model.must_wait(claim.user, claim.wants, model.waiting):
                model.waiting.append((claim.user, claim.wants))
            else:
                raise AssertionError(f"{claim.user} waits for nothing")

    @invariant()
    def everybody_gets_its_turn(self) -> None:
        """The same again, without builders; then builds end that wait for nothing, and so on, until none is left."""
        again = Locks()
        waiting: dict[int, Deferred[None]] = {}
        for claim in sorted(self.claims(), key=lambda claim: (not claim.held, claim)):
            if claim.held:
                again.hold(claim.user, claim.wants, claim.since)
            elif claim.user.number is not None:
                waiting[claim.user.number] = again.ask(claim.user, claim.wants, claim.since)
        left = set(self.builds)
        while left:
            free = next((number for number in left if number not in waiting or waiting[number].called), None)
            assert free is not None, "they wait for each other"
            left.remove(free)
            again.end_build(BuildID(free))
        for asked in waiting.values():
            assert asked.called
            asked.addCallback(lambda _: None)  # a failure would be an unhandled error

    def teardown(self) -> None:
        """When all is over, nothing is left."""
        if not hasattr(self, "locks"):
            return
        self.locks.expect([], 0.0)
        for number in self.builds:
            self.locks.end_build(BuildID(number))
        assert not self.claims()
        assert not self.locks._held
        assert not self.locks._queues
        assert not self.locks._of_build
        assert all(isinstance(each, LockDeadlock) for each in self.outcomes.values())


LocksAndModel.TestCase.settings = settings(max_examples=150, stateful_step_count=40, deadline=None)
TestAgainstTheModel = LocksAndModel.TestCase
