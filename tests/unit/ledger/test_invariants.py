"""Claims and phases under any order of calls, on both databases."""

from __future__ import annotations

import itertools
from dataclasses import replace
from datetime import timedelta

from hypothesis import HealthCheck, settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, invariant, precondition, rule, run_state_machine_as_test
from tests.support.ledger import LEASE, START, HandClock, announced, dag_run, work_key

from glacier_sync.events import RestoredObject
from glacier_sync.ledger import (
    WORKABLE,
    ClaimLostError,
    Ledger,
    LedgerEvent,
    LedgerObject,
    Phase,
    PhaseOrderError,
    RefusedError,
    Run,
)
from glacier_sync.progress import Pace

RUNS = st.sampled_from([dag_run(name) for name in ("one", "two", "three")])
OPERATOR = dag_run("operator")
RIDS = st.sampled_from(["W1", "W2", "W3"])
ROWS = st.integers(0, 30)
LATER_PHASES = st.sampled_from([Phase.DOWNLOADED, Phase.DEBAGGED, Phase.SYNCED, Phase.FAILED])

# The examples share one database: what one has recorded is no duplicate for the next.
EXAMPLES = itertools.count()


class LedgerInUse(RuleBasedStateMachine):
    """Does what runs do, and knows which run was the last to take each object."""

    def __init__(self, url: str) -> None:
        super().__init__()
        self.clock = HandClock()
        self.ledger = Ledger(url, lease=LEASE, clock=self.clock)
        self.rows = {row.id: row for row in self.ledger.objects()}
        self.events: list[LedgerEvent] = self.ledger.events()
        self.start = len(self.rows)
        self.takers: dict[int, str] = {}
        self.begun: set[int] = set()
        self.announced: set[RestoredObject] = set()
        self.example = next(EXAMPLES)
        self.numbers = itertools.count()

    def teardown(self) -> None:
        # Whatever has happened: what isn't over can be taken up and ended, once what is awaited has come.
        self.clock.passes(LEASE)
        janitor = dag_run("janitor")
        for row in self.ledger.objects([Phase.REQUESTED]):
            anew = announced(row.key, etag=row.etag, event_time=None, expiry=self.clock.now + timedelta(days=30))
            self.ledger.record("nlm", f"m{next(self.numbers)}", [anew], [])
        while rows := self.ledger.claim(janitor, 10):
            for row in rows:
                self.ledger.fail(row.id, janitor, "the example has ended", "")
        assert all(row.phase.is_terminal for row in self.ledger.objects())
        self.ledger.close()

    def pick(self, number: int) -> LedgerObject:
        return list(self.rows.values())[self.start :][number % (len(self.rows) - self.start)]

    def is_superseded(self, row: LedgerObject) -> bool:
        return any((other.key, other.etag) == (row.key, row.etag) and other.id > row.id for other in self.rows.values())

    def holds(self, run: Run, row: LedgerObject) -> bool:
        return row.claimed_by == run.name and (self.is_live(row) or not self.work_is_in_other_hands(row))

    def is_live(self, row: LedgerObject) -> bool:
        return row.lease_until is not None and row.lease_until > self.clock.now

    def work_is_in_other_hands(self, row: LedgerObject) -> bool:
        return any(self.is_live(other) and other.rid == row.rid for other in self.rows.values() if other.id != row.id)

    @rule(rid=RIDS, etag=st.sampled_from("ab"), days=st.integers(1, 2))
    def record(self, rid: str, etag: str, days: int) -> None:
        expiry = START + timedelta(days=days)
        found = announced(work_key(rid), etag=f"{etag}{self.example}", event_time=self.clock.now, expiry=expiry)
        same = [row for row in self.rows.values() if (row.key, row.etag) == (found.key, found.etag)]
        earlier = {known.event_time for known in self.announced if (known.key, known.etag) == (found.key, found.etag)}
        in_the_same_words = {replace(found, event_time=moment) for moment in earlier} & self.announced
        if in_the_same_words and same[-1].phase is Phase.FAILED and found.event_time not in earlier:
            self.begun.add(same[-1].id)
        self.announced.add(found)
        self.ledger.record("nlm", f"m{next(self.numbers)}", [found, found], [])
        assert self.ledger.record("nlm", f"m{next(self.numbers)}", [found], []) == ()

    @rule(run=RUNS, limit=st.integers(0, 4))
    def claim(self, run: Run, limit: int) -> None:
        taken = self.ledger.claim(run, limit)
        assert len(taken) <= limit
        for row in taken:
            old = self.rows[row.id]
            assert old.claimed_by == run.name or not self.is_live(old)
            self.takers[row.id] = run.name
        if len(taken) < limit:
            chosen = {row.rid for row in taken}
            free = [row for row in self.rows.values() if row.phase in WORKABLE and not self.is_live(row)]
            assert all(row.rid in chosen or self.work_is_in_other_hands(row) for row in free)

    @precondition(lambda self: len(self.rows) > self.start)
    @rule(run=RUNS, number=ROWS)
    def hold(self, run: Run, number: int) -> None:
        old = self.pick(number)
        in_other_hands = self.is_live(old) and old.claimed_by != run.name
        try:
            row = self.ledger.hold(old.id, run)
        except ClaimLostError:
            assert in_other_hands or self.work_is_in_other_hands(old)
        except PhaseOrderError:
            assert old.phase is Phase.REQUESTED
        else:
            assert old.phase.is_terminal or not in_other_hands
            if not row.phase.is_terminal:
                self.takers[row.id] = run.name

    @precondition(lambda self: len(self.rows) > self.start)
    @rule(run=RUNS, number=ROWS, phase=LATER_PHASES)
    def move(self, run: Run, number: int, phase: Phase) -> None:
        old = self.pick(number)
        holds = self.holds(run, old)
        try:
            if phase is Phase.FAILED:
                self.ledger.fail(old.id, run, "reason", "cause")
            else:
                self.ledger.advance(old.id, run, phase, "message")
        except ClaimLostError:
            assert not holds
        except PhaseOrderError:
            assert phase.rank <= old.phase.rank or old.phase.is_terminal
        else:
            assert holds or old.phase is phase

    @precondition(lambda self: len(self.rows) > self.start)
    @rule(run=RUNS, number=ROWS, in_vain=st.booleans())
    def release(self, run: Run, number: int, in_vain: bool) -> None:
        old = self.pick(number)
        try:
            self.ledger.release(old.id, run, "message", in_vain=in_vain)
        except ClaimLostError:
            assert old.claimed_by not in (None, run.name)
        else:
            assert old.claimed_by in (None, run.name)

    @precondition(lambda self: len(self.rows) > self.start)
    @rule(numbers=st.lists(ROWS, min_size=1, max_size=2))
    def retry(self, numbers: list[int]) -> None:
        old = {row.id: row for row in map(self.pick, numbers)}
        try:
            self.ledger.retry(list(old), OPERATOR)
        except RefusedError:
            assert any(row.phase is not Phase.FAILED or self.is_superseded(row) for row in old.values())
        else:
            assert all(row.phase is Phase.FAILED and not self.is_superseded(row) for row in old.values())
            self.begun.update(old)

    @precondition(lambda self: len(self.rows) > self.start)
    @rule(number=ROWS)
    def forget(self, number: int) -> None:
        old = self.pick(number)
        try:
            self.ledger.forget([old.id], OPERATOR, "hopeless")
        except RefusedError:
            assert old.phase is Phase.SYNCED or old.forgotten or self.is_live(old)
        else:
            assert old.phase is not Phase.SYNCED
            assert not old.forgotten
            assert not self.is_live(old)

    @precondition(lambda self: len(self.rows) > self.start)
    @rule(run=RUNS, number=ROWS, requested=st.booleans(), is_known=st.booleans())
    def await_restore(self, run: Run, number: int, requested: bool, is_known: bool) -> None:
        old = self.pick(number)
        known = old.restore_expiry if is_known else self.clock.now - timedelta(days=9)
        try:
            waits = self.ledger.await_restore(old.id, run, "gone", known_expiry=known, requested=requested)
        except ClaimLostError:
            assert not self.holds(run, old)
        else:
            assert self.holds(run, old)
            assert waits == is_known
            if waits:
                self.begun.add(old.id)

    @precondition(lambda self: len(self.rows) > self.start)
    @rule(run=RUNS, number=ROWS, done=st.integers(0, 9))
    def tell_pace(self, run: Run, number: int, done: int) -> None:
        old = self.pick(number)
        try:
            self.ledger.tell_pace(old.id, run, "stage", Pace(done, 9, gained=done, seconds=1))
        except ClaimLostError:
            assert not self.holds(run, old)
        else:
            assert self.holds(run, old)

    @rule(run=RUNS)
    def renew(self, run: Run) -> None:
        live = [row for row in self.rows.values() if row.claimed_by == run.name and self.is_live(row)]
        assert self.ledger.renew(run) >= {row.id for row in live}

    @rule(part=st.sampled_from([0.4, 1.0]))
    def time_passes(self, part: float) -> None:
        self.clock.passes(LEASE * part)

    @invariant()
    def a_work_is_in_one_hand_and_what_is_over_in_none(self) -> None:
        self.see_what_changed()
        live = [row for row in self.rows.values() if self.is_live(row)]
        assert len({row.rid for row in live}) == len(live)
        assert all(row.claimed_by in (None, self.takers.get(row.id)) for row in self.rows.values())
        over = [row for row in self.rows.values() if row.phase.is_terminal or row.phase is Phase.REQUESTED]
        assert all(row.claimed_by is None for row in over)
        assert all(row.claimed_by for row in self.rows.values() if row.progress)
        assert all(row.phase is Phase.FAILED for row in self.rows.values() if row.forgotten)

    def see_what_changed(self) -> None:
        rows = {row.id: row for row in self.ledger.objects()}
        assert rows.keys() >= self.rows.keys()
        for number, old in self.rows.items():
            # Nothing goes back, and nothing that is over is taken up, but in an attempt that was asked for.
            assert rows[number].attempt == old.attempt + (number in self.begun)
            if number not in self.begun:
                assert rows[number].phase.rank >= old.phase.rank
                assert not old.phase.is_terminal or rows[number].phase is old.phase
        self.begun.clear()
        events = self.ledger.events()
        assert events[: len(self.events)] == self.events
        on_their_way = [(row.key, row.etag) for row in rows.values() if not row.phase.is_terminal]
        assert len(set(on_their_way)) == len(on_their_way)
        self.rows, self.events = rows, events


def test_claims_and_phases_under_any_order_of_calls(ledger: Ledger, url: str) -> None:
    count = 4 if url.startswith("postgresql") else 10
    run_state_machine_as_test(
        lambda: LedgerInUse(url),
        settings=settings(
            max_examples=count, stateful_step_count=25, deadline=None, suppress_health_check=list(HealthCheck)
        ),
    )
