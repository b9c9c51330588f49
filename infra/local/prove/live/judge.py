"""What is wrong with how jobs ended, by what the API, the generators' logs and the receiver say.

从外部判断承诺是否都兑现。
"""

from __future__ import annotations

import time
from collections import Counter
from collections.abc import Iterable, Mapping, Sequence
from typing import Any

from infra.local.prove.live.server import ENDED
from infra.local.prove.receiver import Receiver

_MAY_FAIL = frozenset({None, "submit_unconfirmed", "artifact_invalid", "provider_rejected"})


def judge(
    jobs: Sequence[Mapping[str, Any]], log: Iterable[Mapping[str, Any]], receiver: Receiver
) -> list[str]:
    """What is wrong; creates are told apart by their prompts, webhooks by a prompt's last word.

    判断承诺是否都兑现。
    """
    creates: dict[str, set[str]] = {}
    for entry in log:
        if entry["task_id"] is not None and isinstance(entry["body"], dict):
            creates.setdefault(str(entry["body"].get("prompt")), set()).add(entry["task_id"])
    made = {prompt: len(tasks) for prompt, tasks in creates.items()}
    faults = [f"{prompt!r} was created {n} times" for prompt, n in made.items() if n > 1]
    for job in jobs:
        prompt, code = job["input"]["prompt"], (job["error"] or {}).get("code")
        if job["status"] not in ENDED:
            faults.append(f"{job['id']} did not end: {job['status']}")
        if job["status"] == "succeeded" and made.get(prompt) != 1:
            faults.append(f"{job['id']} succeeded with {made.get(prompt, 0)} creates")
        if code == "submit_unconfirmed" and made.get(prompt):
            faults.append(f"{job['id']}: a create that the log shows was not found again")
        if code not in _MAY_FAIL:
            faults.append(f"{job['id']} failed: {job['error']}")
        heard = receiver.heard(prompt.split()[-1])
        if not heard["verified"] or heard["refused"] or len(heard["ids"]) != 1:
            faults.append(f"{job['id']}: its webhook: {heard}")
    return faults


def ends_of(jobs: Iterable[Mapping[str, Any]]) -> Counter[str]:
    """How many jobs ended in which way.

    各种结束方式的数量。
    """
    return Counter(
        job["status"] + (f": {job['error']['code']}" if job["error"] else "") for job in jobs
    )


def until_all_heard(receiver: Receiver, jobs: Iterable[Mapping[str, Any]], patience: float) -> None:
    """Wait until something came for every job, or patience (seconds) is at its end.

    等待全部通知到达。
    """
    end = time.monotonic() + patience
    cases = [job["input"]["prompt"].split()[-1] for job in jobs]
    while time.monotonic() < end and not all(receiver.heard(case)["ids"] for case in cases):
        time.sleep(0.2)
