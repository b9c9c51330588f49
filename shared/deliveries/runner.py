"""The work of the callback function: claims what is due, sends it, saves what came of it.

At least once: a message whose result could not be saved is sent again, never lost.

领取到期的通知、发送并保存结果。
"""

from __future__ import annotations

import logging
from collections import Counter, deque
from collections.abc import Callable
from dataclasses import dataclass, field, replace

from shared import context
from shared.clock import Clock, Deadline
from shared.deliveries import repository
from shared.deliveries.model import Delivery
from shared.deliveries.schedule import Outcome, next_try
from shared.deliveries.send import Sender
from shared.outbound.url_policy import host_of
from shared.records import Unreadable
from shared.store.base import Lease, Store, StoreUnavailable
from shared.work.alarm import Alarm
from shared.work.company import Company
from shared.work.fair_queue import Caps, FairQueue, Key, Level
from shared.work.loop import NAP, Loop, Unit

log = logging.getLogger("maquette.deliveries")

MOST_CLAIMS = 5
"""After this many claims in a row without a save, the next one counts as a failed try."""

SAVING = 2.0
"""Seconds kept free at the end of an invocation, for saving results and handing back."""

Observer = Callable[[Delivery, Outcome], None]
"""Told of every result that was saved, with the delivery as it now stands.

It is called from many threads and must not raise.
"""

_LOOKED_AT = 400
"""Due deliveries that one claim looks at: more than one owner may have in hand."""
_PUT_OFF = 8


def _nobody(delivery: Delivery, outcome: Outcome) -> None:
    """Hears of results and does nothing."""


def _nothing(error: Unreadable) -> None:
    """Hears of what is put aside and does nothing."""


@dataclass(frozen=True)
class DeliveryRunner:
    """Sends due deliveries; any number of runners may work side by side on one store.

    `lease_margin_ms` is how long past this invocation's end a claim holds, for clocks that
    differ. `aside` hears of records that cannot be read. `company` and `alarm` are the process's.

    通知的发送者：反复领取、发送、保存。
    """

    store: Store
    sender: Sender
    clock: Clock
    lease_margin_ms: int = 60_000
    caps: Caps = field(default_factory=Caps)
    observe: Observer = _nobody
    aside: Callable[[Unreadable], None] = _nothing
    company: Company = field(default_factory=Company)
    alarm: Alarm = field(default_factory=Alarm)

    def run(self, deadline: Deadline) -> int:
        """Send until nothing is due any more, or no whole try fits before the deadline.

        A try is begun only while the sender's `limits.total` and `SAVING` seconds are left;
        what was claimed and not begun is handed back, due at once. Returns how many messages
        were sent, well received or not.

        发送所有到期的通知。
        """
        source = DeliverySource(self, deadline)
        loop = Loop(
            lambda: (source,),
            self.clock,
            deadline,
            stay=source.expects,
            company=self.company,
            alarm=self.alarm,
        )
        return loop.run()


class DeliverySource:
    """Due deliveries, for one invocation's loop. What is held waits in a fair queue, by owner and
    by host; what finds no place there is put off by its claim.

    到期的通知，按所有者和主机公平处理。
    """

    name = "deliveries"
    group = "deliveries"
    lasting = True

    def __init__(self, runner: DeliveryRunner, deadline: Deadline) -> None:
        self.threads = runner.caps.total
        self.needs = runner.sender.limits.total + SAVING
        self._runner = runner
        self._store = runner.store
        self._clock = runner.clock
        self._deadline = deadline
        self._queue: FairQueue[Delivery] = FairQueue(runner.caps, _key)
        self._flying: dict[Unit, Delivery] = {}
        self._expected = 0
        self._crowded = False
        self._unsaved: deque[tuple[Delivery, Outcome]] = deque()

    def next_due(self) -> int | None:
        """When (ms) the first delivery is due. Results that could not be saved are saved first.

        最近的到期时间。
        """
        self._save_results()
        return repository.next_due(self._store)

    def expects(self) -> bool:
        """Whether a result is still to be saved, or something that was put off here to come back.

        是否还有未保存的结果，或被推迟的通知将要到期。
        """
        awaited = self._expected + round(NAP * 1000) >= self._clock.now()
        return bool(self._unsaved) or awaited

    def claim(self, room: int) -> int:
        """Take what is due, as much as the queue has room for: one owner's messages, which may not
        run now, take no other's place. How many were taken or put off.

        Those without a place are put off a few at a time, so that their writes hold up nobody; all
        of them, where they fill what is looked at and others may lie behind them.

        领取到期的通知。
        """
        now, promised = self._clock.now(), Counter[Level]()
        until = now + int(self._deadline.remaining() * 1000) + self._runner.lease_margin_ms
        spare = _LOOKED_AT if self._crowded else _PUT_OFF

        def choose(delivery: Delivery) -> Lease | None:
            nonlocal spare
            key = _key(delivery)
            if self._queue.has_place(key, promised):
                return Lease(until, counted=True)
            if not spare:
                return None
            spare -= 1
            return Lease(self._queue.turn(key, promised, now), counted=False)

        aside = self._runner.aside
        claimed = repository.claim(self._store, _LOOKED_AT, now=now, choose=choose, aside=aside)
        self._crowded = claimed.more
        self._expected = max((self._expected, *claimed.put_off))
        for delivery in claimed.leased:
            self._queue.add(delivery)
        return len(claimed.leased) + len(claimed.put_off)

    def start(self) -> Unit | None:
        """The next that may be sent now; none while results cannot be saved.

        取出下一条可以发送的通知。
        """
        if self._unsaved or (delivery := self._queue.start(self._clock.now())) is None:
            return None
        unit = Unit(lambda: self._send(delivery), lambda: self._give_back(delivery))
        self._flying[unit] = delivery
        return unit

    def finish(self, unit: Unit) -> None:
        """A message is out of the air again.

        一条通知处理完毕。
        """
        self._queue.finish(self._flying.pop(unit), self._clock.now())

    def held(self) -> int:
        """How many wait for nothing but a thread: 1 stands for any number.

        等待线程的数量。
        """
        return int(self._queue.ready and not self._unsaved)

    def hand_back(self) -> None:
        """What was claimed and not begun is due again, as if it had not been claimed.

        交还尚未发送的通知。
        """
        self._save_results()
        for delivery in self._queue.empty():
            self._give_back(delivery)

    def _give_back(self, delivery: Delivery) -> None:
        claims = max(0, delivery.claims - 1)
        repository.save(self._store, replace(delivery, due_at=self._clock.now(), claims=claims))

    def _send(self, delivery: Delivery) -> None:
        """In a thread of the loop: one try and its result.

        投递一次并保存结果。
        """
        with context.job(delivery.job_id):
            outcome = self._outcome(delivery)
            if outcome.status is None and self._deadline.remaining() <= 0:
                # Cut short as this worker is stopped: no fault of the receiver's.
                self._give_back(delivery)
                return
            try:
                self._settle(delivery, outcome)
            except StoreUnavailable as error:
                # What is not saved would be sent again: nothing more is, until the store answers.
                log.warning("a result could not be saved yet: %s", error)
                self._unsaved.append((delivery, outcome))

    def _outcome(self, delivery: Delivery) -> Outcome:
        if delivery.claims > MOST_CLAIMS:
            return Outcome(self._clock.now(), None, "the worker was lost while sending", 0)
        try:
            return self._runner.sender.attempt(delivery, self._deadline)
        except Exception as problem:
            # A message that cannot even be tried must neither stop others nor come for ever.
            words = f"internal error: {type(problem).__name__}"
            return Outcome(self._clock.now(), None, words, 0)

    def _save_results(self) -> None:
        while self._unsaved:
            delivery, outcome = self._unsaved[0]
            try:
                self._settle(delivery, outcome)
            except StoreUnavailable:
                raise
            except Exception:
                log.exception("%s: a result cannot be saved", delivery.id)
            self._unsaved.popleft()

    def _settle(self, delivery: Delivery, outcome: Outcome) -> None:
        after = next_try(delivery, outcome, self._clock.now(), self._clock.chance())
        if repository.save(self._store, after):
            said = outcome.error or f"HTTP {outcome.status}"
            log.info("%s: delivery %s is %s: %s", after.job_id, after.id, after.status.value, said)
            self._runner.observe(after, outcome)


def _key(delivery: Delivery) -> Key:
    return delivery.caller, host_of(delivery.url)
