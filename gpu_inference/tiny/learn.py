"""The loop that all three parts of the training share: several processes, one set of weights.

Every process takes its share of each step's examples; gradients are averaged over all, and each
makes the same step on its own copy of the weights. That keeps two cores busy where threads would
wait for each other. The state is written now and then, so that a training that was ended goes on
where it was; what a step sees depends on its number alone.

训练循环：多进程数据并行，可断点续训。
"""

from __future__ import annotations

import json
import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import torch
import torch.distributed as dist
from tqdm import tqdm

_KEEP_EVERY = 100
_LOG_EVERY = 20
_LONGEST_GRADIENT = 1.0


@dataclass(frozen=True)
class Share:
    """Which of how many processes this is, and where it computes.

    本进程在全部进程中的编号。
    """

    rank: int
    world: int
    device: str = "cpu"

    def of(self, batch: int) -> range:
        """The numbers of a step's examples that this process takes.

        本进程负责的样本编号。
        """
        return range(self.rank, batch, self.world)


@dataclass(frozen=True)
class Lesson:
    """One part of the training.

    `loss(step, share)` gives named losses, the first being what is made small; `rate(step)` the
    part of each optimizer's learning rate that the step has.

    训练的一个阶段。
    """

    name: str
    steps: int
    modules: Mapping[str, torch.nn.Module]
    optimizers: Sequence[torch.optim.Optimizer]
    loss: Callable[[int, Share], dict[str, torch.Tensor]]
    rate: Callable[[int], float]
    on_steps: Callable[[int], None] = lambda step: None


def learn(lesson: Lesson, folder: Path, share: Share) -> None:
    """Go through all steps that are not done yet.

    执行尚未完成的训练步。
    """
    kept, log = folder / f"{lesson.name}.pt", folder / f"{lesson.name}.jsonl"
    done = _resume(lesson, kept)
    rates = [[group["lr"] for group in each.param_groups] for each in lesson.optimizers]
    weights = [
        weight
        for module in lesson.modules.values()
        for weight in module.parameters()
        if weight.requires_grad
    ]
    _agree(lesson, share)
    first = share.rank == 0
    bar = tqdm(total=lesson.steps, initial=done, desc=lesson.name, disable=not first, mininterval=5)
    smooth: dict[str, float] = {}
    started = time.monotonic()
    for step in range(done, lesson.steps):
        for optimizer, usual in zip(lesson.optimizers, rates, strict=True):
            for group, rate in zip(optimizer.param_groups, usual, strict=True):
                group["lr"] = rate * lesson.rate(step)
        losses = lesson.loss(step, share)
        next(iter(losses.values())).backward()
        _average(weights, share)
        torch.nn.utils.clip_grad_norm_(weights, _LONGEST_GRADIENT)
        for optimizer in lesson.optimizers:
            optimizer.step()
            optimizer.zero_grad()
        for name, value in losses.items():
            smooth[name] = 0.95 * smooth.get(name, value.item()) + 0.05 * value.item()
        bar.update()
        step += 1
        if first and step % _LOG_EVERY == 0:
            shown = {name: round(value, 4) for name, value in smooth.items()}
            bar.set_postfix(shown)
            line = {"step": step, **shown, "seconds": round(time.monotonic() - started, 1)}
            with log.open("a") as file:
                file.write(json.dumps(line) + "\n")
        if first and (step % _KEEP_EVERY == 0 or step == lesson.steps):
            _keep(lesson, kept, step)
        lesson.on_steps(step)
    bar.close()
    dist.barrier()


def _agree(lesson: Lesson, share: Share) -> None:
    """Begin with the first process's weights everywhere."""
    if share.world == 1:
        return
    for module in lesson.modules.values():
        for values in module.state_dict().values():
            dist.broadcast(values, src=0)


def _average(weights: list[torch.Tensor], share: Share) -> None:
    """Replace each gradient by the mean over all processes, by one exchange.

    各进程的梯度取平均。
    """
    if share.world == 1:
        return
    found = [
        weight.grad if weight.grad is not None else torch.zeros_like(weight) for weight in weights
    ]
    flat = torch.cat([gradient.flatten() for gradient in found])
    dist.all_reduce(flat)
    flat /= share.world
    for weight, part in zip(weights, flat.split([one.numel() for one in weights]), strict=True):
        weight.grad = part.view_as(weight)


def _resume(lesson: Lesson, kept: Path) -> int:
    """Load what an ended training has kept, at this run's learning rates; returns its steps.

    从保存的状态继续训练。
    """
    if not kept.exists():
        return 0
    state: dict[str, Any] = torch.load(kept, map_location="cpu", weights_only=True)
    for name, module in lesson.modules.items():
        module.load_state_dict(state["modules"][name])
    for optimizer, saved in zip(lesson.optimizers, state["optimizers"], strict=True):
        rates = [group["lr"] for group in optimizer.param_groups]
        optimizer.load_state_dict(saved)
        for group, rate in zip(optimizer.param_groups, rates, strict=True):
            group["lr"] = rate
    steps: int = state["step"]
    return steps


def _keep(lesson: Lesson, kept: Path, step: int) -> None:
    aside = kept.with_suffix(".new")
    state = {
        "step": step,
        "modules": {name: module.state_dict() for name, module in lesson.modules.items()},
        "optimizers": [optimizer.state_dict() for optimizer in lesson.optimizers],
    }
    torch.save(state, aside)
    aside.replace(kept)
