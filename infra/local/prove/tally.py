"""What came out of all runs, and how it is told.

汇总并报告验证结果。
"""

from __future__ import annotations

from collections import Counter
from dataclasses import dataclass, field
from typing import Any


@dataclass
class Tally:
    """What came out so far.

    验证结果的汇总。
    """

    runs: int = 0
    killed: int = 0
    ends: Counter[str] = field(default_factory=Counter)
    left: Counter[str] = field(default_factory=Counter)
    figures: Counter[str] = field(default_factory=Counter)
    requests: dict[str, Counter[str]] = field(default_factory=dict)
    told: list[str] = field(default_factory=list)
    broken: list[tuple[str, list[str]]] = field(default_factory=list)

    def add(self, label: str, verdict: dict[str, Any]) -> None:
        """Count one verdict.

        计入一次结论。
        """
        self.runs += 1
        self.killed += verdict.get("killed", 0)
        self.told += [verdict["told"]] if "told" in verdict else []
        self.left.update(verdict.get("left", {}))
        self.figures.update(verdict.get("figures", {}))
        self.ends.update(verdict.get("ends", ["crashed"]))
        if verdict["faults"]:
            self.broken.append((label, verdict["faults"]))


def report(tally: Tally) -> int:
    """Print it; 0 if every promise held, 1 otherwise.

    打印汇总。
    """
    print(f"{tally.runs} runs, {tally.killed} workers killed")
    for end, count in tally.ends.most_common():
        print(f"  {count:5d}  {end}")
    for label, requests in tally.requests.items():
        if requests:
            by_operation = ", ".join(f"{name} {count}" for name, count in requests.most_common())
            print(f"{label}, one job: {requests.total()} requests ({by_operation})")
    for figure, count in tally.figures.items():
        print(f"  {count:5d}  {figure}")
    for line in tally.told:
        print(line)
    print(
        f"Left behind, after a sweep: {tally.left['objects']} objects that no job needs, "
        f"{tally.left['uploads']} unfinished uploads"
    )
    for label, faults in tally.broken:
        print(f"BROKEN  {label}: {'; '.join(faults)}")
    if tally.broken:
        print(f"{len(tally.broken)} runs broke a promise")
        return 1
    print("Every job ended, none was created twice, every webhook arrived and verified.")
    return 0
