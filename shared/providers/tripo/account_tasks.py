"""What is known of an account's tasks: which lie next to each other in its list, and their marks.

已知的账户任务：在列表中的位置与标记。
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field
from heapq import nlargest

from shared.providers.tripo.tasks import holds

SKEW_MS = 300_000
"""How far the provider's clock may be off ours."""
LATE_MS = 10_000
"""A task may come into the list this long after it was made: so far the top is read anew."""
MOST_TASKS = 200_000
"""Tasks remembered, at some 400 bytes each; the oldest are forgotten first."""
_TOP = 50
_AGELESS = 1 << 62


@dataclass
class Sought:
    """A create that is looked for: its mark and prompt, when (ms) it was begun, what was found.

    要查找的一个创建。
    """

    mark: str
    prompt: int | None
    since: int
    asked_at: int = 0
    found: dict[str, None] = field(default_factory=dict)

    @property
    def low(self) -> int:
        """No task made before this time (ms) can be it.

        最早可能的创建时间。
        """
        return self.since - SKEW_MS

    def meet(self, task_id: str, task: Task) -> None:
        """Note a task that carries the mark; a prompt of its own says that it is another's.

        记录带有该标记的任务。
        """
        if task.marks is None or not holds(task.marks, self.mark):
            return
        if self.prompt is None or task.prompt is None or self.prompt == task.prompt:
            self.found[task_id] = None


@dataclass
class Task:
    """A task: when it was made (ms, if that is said), whether its place in the list is final, and
    what of its input may be a mark (None: not read yet).

    账户中的一个任务。
    """

    __slots__ = ("at", "marks", "prompt", "settled")

    at: int | None
    settled: bool
    marks: str | None
    prompt: int | None


@dataclass(eq=False)
class Stretch:
    """Tasks next to each other in the list, in its order, read from `read_at` (ms) on.

    All that was made after `floor` (ms) is in it or above it; `ended`: there is nothing below.

    列表中相邻的一段任务。
    """

    read_at: int
    ids: list[str] = field(default_factory=list)
    place: dict[str, int] = field(default_factory=dict)
    floor: int | None = None
    ended: bool = False

    def add(self, task_id: str) -> None:
        """Put a task at its lower end.

        在末尾加入一个任务。
        """
        self.place[task_id] = len(self.ids)
        self.ids.append(task_id)

    def below(self, task_id: str) -> int:
        """How many of its tasks lie below this one.

        该任务之下的任务数。
        """
        return len(self.ids) - 1 - self.place[task_id]

    def covers(self, low: int) -> bool:
        """Whether it reaches down to all that was made since `low` (ms).

        是否已读到指定时间。
        """
        return self.ended or (self.floor is not None and self.floor < low)


class Known:
    """All that is known of an account's tasks. Not safe to share: its owner holds a lock.

    已知的账户任务。
    """

    def __init__(self) -> None:
        self.top = Stretch(0)
        self._older: list[Stretch] = []
        self._tasks: dict[str, Task] = {}
        self._unread: dict[str, None] = {}
        self._unreadable: set[str] = set()

    def begin(self, now: int, low: int) -> None:
        """Begin at the top of the list; what is older than `low` (ms) may be forgotten.

        从列表顶端重新开始。
        """
        self._older.insert(0, self.top)
        self.top = Stretch(now)
        for stretch in reversed(self._older):
            self._shorten(stretch, low)
        self._older = [stretch for stretch in self._older if stretch.ids]
        self._unreadable.clear()
        self._unread = {
            one: None
            for stretch in self._older
            for one in stretch.ids
            if self._tasks[one].marks is None and self._matters(one, low)
        }

    def add(self, page: Sequence[tuple[str, int | None]], above: int, low: int) -> None:
        """Put a page, but for what lies `above` in it, below what was read; where it meets an older
        stretch, all of that follows.

        加入一页任务。
        """
        times = [at for _, at in page if at is not None]
        first = [self._tasks[one].at or 0 for one in self.top.ids[:_TOP]]
        newest = max([*times, *first], default=0)
        downwards = len(times) == len(page) > 1 and times[0] > times[-1]
        for task_id, at in page[above:]:
            if task_id in self.top.place:
                continue
            older = next((one for one in self._older if task_id in one.place), None)
            if older is not None and self._tasks[task_id].settled:
                self._join(older, task_id, downwards)
                continue
            if task_id not in self._tasks:
                self._tasks[task_id] = Task(at, False, None, None)
                if self._matters(task_id, low):
                    self._unread[task_id] = None
            self._tasks[task_id].settled = at is not None and newest - at > LATE_MS
            self.top.add(task_id)
        if downwards and max(times) < low:
            self.top.floor = max(times)

    def is_above(self, page: Sequence[tuple[str, int | None]]) -> bool:
        """Whether a page lies wholly above what was read: all in it is newer.

        这一页是否全部比已读的更新。
        """
        newest, oldest = (self._tasks[self.top.ids[end]].at for end in (0, -1))
        if newest is None or oldest is None or newest <= oldest or not page:
            return False  # or the newest do not come first
        return all(at is not None and at > newest for _, at in page)

    def settle(self, low: int) -> None:
        """Once the top reaches down to `low`, nothing else needs to be known.

        扫描完成后清理其余片段。
        """
        if self.top.covers(low):
            for stretch in self._older:
                for one in stretch.ids:
                    if one not in self.top.place:
                        self._forget(one)
            self._older = []

    def covers(self, sought: Sought) -> bool:
        """Whether all was read among which this create's task could be.

        是否已读完可能的范围。
        """
        if self.top.read_at < sought.since or not self.top.covers(sought.low):
            return False
        missing = (*self._unread, *self._unreadable)
        return not any(self._matters(one, sought.low) for one in missing)

    def unread(self, most: int) -> list[str]:
        """Tasks whose input is to be read.

        待读取输入的任务。
        """
        # What is new is looked for more often than what is old.
        return nlargest(most, self._unread, key=lambda one: self._tasks[one].at or _AGELESS)

    def read(self, task_id: str, marks: str, prompt: int | None, sought: Iterable[Sought]) -> None:
        """A task's input was read: whose it is, is noted.

        记录任务的输入，并认出所属的创建。
        """
        self._unread.pop(task_id, None)
        task = self._tasks.get(task_id)
        if task is not None:
            task.marks, task.prompt = marks, prompt
            for one in sought:
                one.meet(task_id, task)

    def unreadable(self, task_id: str) -> None:
        """A task's input could not be read this time.

        这次无法读取该任务的输入。
        """
        self._unread.pop(task_id, None)
        self._unreadable.add(task_id)

    def meet(self, sought: Sought) -> None:
        """Look for a create among the tasks that are known already.

        在已知任务中查找。
        """
        for task_id, task in self._tasks.items():
            sought.meet(task_id, task)

    def _join(self, older: Stretch, task_id: str, downwards: bool) -> None:
        for one in older.ids[older.place[task_id] :]:
            if one not in self.top.place:
                self.top.add(one)
        self._older.remove(older)
        if downwards:
            # Only where the newest come first is nothing added at the other end meanwhile.
            self.top.floor, self.top.ended = older.floor, older.ended

    def _shorten(self, stretch: Stretch, low: int) -> None:
        """Forget the tasks at a stretch's lower end that nobody can be looking for.

        忘记过旧的任务。
        """
        while stretch.ids:
            last = self._tasks[stretch.ids[-1]]
            if not (last.at is not None and last.at < low) and len(self._tasks) <= MOST_TASKS:
                return
            task_id = stretch.ids.pop()
            del stretch.place[task_id]
            stretch.ended = False
            stretch.floor = max(stretch.floor or 0, last.at or 0)
            if not any(task_id in one.place for one in self._older):
                self._forget(task_id)

    def _forget(self, task_id: str) -> None:
        self._tasks.pop(task_id, None)
        self._unread.pop(task_id, None)
        self._unreadable.discard(task_id)

    def _matters(self, task_id: str, low: int) -> bool:
        at = self._tasks[task_id].at
        return at is None or at >= low
