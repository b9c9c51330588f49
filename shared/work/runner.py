"""The work of the callback function: claims what is due, sends it, saves what came of it.

At least once: a message whose result could not be saved is sent again, never lost.

领取到期的通知、发送并保存结果。
"""

from __future__ import annotations

import heapq
import logging
from collections import Counter
from collections.abc import Callable
from concurrent.futures import FIRST_COMPLETED, Future, wait
from dataclasses import dataclass, field, replace

from shared import context
from shared.clock import Clock, Deadline
from shared.context import Pool
from shared.deliveries import repository
from shared.deliveries.model import Delivery
from shared.deliveries.schedule import Outcome, next_try
from shared.deliveries.send import Sender
from shared.deliveries.url_policy import host_of
from shared.store.base import Store, StoreUnavailable
from shared.work.fair_queue import Caps, HostQueues

log = logging.getLogger("maquette.deliveries")

MOST_CLAIMS = 5
"""After this many claims in a row without a save, the next one counts as a failed try."""

SAVING = 2.0
"""Seconds kept free at the end of an invocation, for saving results and handing back."""

Observer = Callable[[Delivery, Outcome], None]
"""Told of every result that was saved, with the delivery as it now stands.

It is called from many threads and must not raise.
"""

_BATCH = 128
_LOOK_EVERY = 0.25
_LEARN = 0.05
_REST = 0.1


def _nobody(delivery: Delivery, outcome: Outcome) -> None:
    """Hears of results and does nothing."""


@dataclass(frozen=True)
class DeliveryRunner:
    """Sends due deliveries; any number of runners may work side by side on one store.

    `lease_margin_ms` is how long past this invocation's end a claim holds, for clocks that
    differ.

    通知的发送者：反复领取、发送、保存。
    """

    store: Store
    sender: Sender
    clock: Clock
    lease_margin_ms: int = 60_000
    caps: Caps = field(default_factory=Caps)
    observe: Observer = _nobody

    def run(self, deadline: Deadline) -> int:
        """Send until nothing is due any more, or no whole try fits before the deadline.

        A try is begun only while the sender's `limits.total` and `SAVING` seconds are left;
        what was claimed and not begun is handed back, due at once. Returns how many messages
        were sent, well received or not. Raises `StoreUnavailable`, once all threads are done.

        发送所有到期的通知。
        """
        with Pool(self.caps.total, "deliver") as pool:
            run = _Run(self, pool, deadline)
            try:
                run.loop()
            finally:
                run.hand_back()
        # Leaving the pool has waited for the messages in the air.
        run.collect(0)
        if run.failure:
            raise run.failure
        return run.sent


class _Run:
    """One invocation's work. Only the main thread touches its fields."""

    def __init__(self, runner: DeliveryRunner, pool: Pool, deadline: Deadline):
        self.sent = 0
        self.failure: BaseException | None = None
        self._store = runner.store
        self._sender = runner.sender
        self._clock = runner.clock
        self._margin = runner.lease_margin_ms
        self._observe = runner.observe
        self._pool = pool
        self._deadline = deadline
        self._queues = HostQueues(runner.caps)
        self._air: dict[Future[None], Delivery] = {}
        self._put_off: list[int] = []
        self._more = True
        self._looked = deadline.remaining()

    def loop(self) -> None:
        """Look, start, collect, until there is nothing to do or no time to do it in."""
        while self._time_for_a_try() and not self.failure:
            if self._should_look():
                self._look()
            self._start()
            if self._air:
                # With more to claim it is still worth a moment to learn how fast its host is.
                self.collect(_LEARN if self._more else _LOOK_EVERY)
            elif not self._more and not self._rest():
                return

    def collect(self, seconds: float) -> None:
        """Wait so long for a message in the air to land, and note all that have."""
        done, _ = wait(self._air, timeout=seconds, return_when=FIRST_COMPLETED)
        for future in done:
            delivery = self._air.pop(future)
            self.sent += 1
            problem = future.exception()
            if problem:
                self.failure = self.failure or problem
            self._queues.finish(delivery, self._clock.now())

    def hand_back(self) -> None:
        """What was claimed and not begun is due again, as if it had not been claimed."""
        for delivery in self._queues.empty():
            claims = max(0, delivery.claims - 1)
            back = replace(delivery, due_at=self._clock.now(), claims=claims)
            try:
                repository.save(self._store, back)
            except StoreUnavailable as problem:
                # The leases run out by themselves.
                self.failure = self.failure or problem
                return

    def _time_for_a_try(self) -> bool:
        return self._deadline.remaining() >= self._sender.limits.total + SAVING

    def _should_look(self) -> bool:
        waited = self._looked - self._deadline.remaining()
        return self._more or not self._queues.waiting or waited >= _LOOK_EVERY

    def _look(self) -> None:
        """Claim a little; more is there if all that was asked for came."""
        self._looked = self._deadline.remaining()
        self._more = False
        limit = min(_BATCH, self._queues.room)
        if limit:
            self._more = self._claim(limit).count >= limit

    def _claim(self, limit: int) -> repository.Claimed:
        now = self._clock.now()
        promised: Counter[str] = Counter()

        def later(delivery: Delivery) -> int | None:
            host = host_of(delivery.url)
            if not self._queues.has_place(host, promised[host]):
                return self._queues.turn(host, now)
            promised[host] += 1
            return None

        until = now + int(self._deadline.remaining() * 1000) + self._margin
        claimed = repository.claim(self._store, limit, now=now, until=until, later=later)
        for moment in claimed.put_off:
            heapq.heappush(self._put_off, moment)
        for delivery in claimed.leased:
            if delivery.claims > MOST_CLAIMS:
                lost = Outcome(now, None, "the worker was lost while sending", 0)
                self._settle(delivery, lost)
            else:
                self._queues.add(delivery)
        return claimed

    def _start(self) -> None:
        while (delivery := self._queues.start(self._clock.now())) is not None:
            self._air[self._pool.submit(self._send, delivery)] = delivery

    def _rest(self) -> bool:
        """Wait until the first of those put off is due again; False if there is none."""
        if not self._put_off:
            return False
        now = self._clock.now()
        spare = self._deadline.remaining() - self._sender.limits.total - SAVING
        self._clock.sleep(min(max((self._put_off[0] - now) / 1000, _REST), spare))
        while self._put_off and self._put_off[0] <= self._clock.now():
            heapq.heappop(self._put_off)
        return True

    def _send(self, delivery: Delivery) -> None:
        """In a thread of the pool: one try and its result."""
        with context.job(delivery.job_id):
            self._try(delivery)

    def _try(self, delivery: Delivery) -> None:
        try:
            outcome = self._sender.attempt(delivery, self._deadline)
        except Exception as problem:
            # A message that cannot even be tried must neither stop others nor come for ever.
            words = f"internal error: {type(problem).__name__}"
            outcome = Outcome(self._clock.now(), None, words, 0)
        self._settle(delivery, outcome)

    def _settle(self, delivery: Delivery, outcome: Outcome) -> None:
        after = next_try(delivery, outcome, self._clock.now(), self._clock.chance())
        if repository.save(self._store, after):
            said = outcome.error or f"HTTP {outcome.status}"
            log.info("%s: delivery %s is %s: %s", after.job_id, after.id, after.status.value, said)
            self._observe(after, outcome)
