"""Train the tiny model from nothing: first to read and to encode, then to draw.

`./scripts/train_tiny` runs it. What is done is kept in the work folder; started again, it goes on.

训练微型模型：文本编码器、自编码器与扩散变换器。
"""

from __future__ import annotations

import argparse
import os
import shutil
import tempfile
from pathlib import Path
from typing import Any

import torch
import torch.distributed as dist
import torch.multiprocessing as mp

from gpu_inference.tiny import MODEL, autoencode, checkpoint, evaluate, flow, reading, sheet
from gpu_inference.tiny.learn import Share, learn

_SHEET_EVERY = 1000
_AT_ONCE = 16  # drawings encoded at once


def main() -> None:
    """Train with the arguments of the command line.

    命令行入口。
    """
    parser = argparse.ArgumentParser(prog="train_tiny", description=__doc__)
    parser.add_argument(
        "--work",
        type=Path,
        default=Path(".tiny"),
        help="where it keeps its state, by seed and effort",
    )
    parser.add_argument("--out", type=Path, default=MODEL, help="where the checkpoint goes")
    parser.add_argument("--seed", type=int, default=0)
    gpu = torch.cuda.is_available()
    parser.add_argument("--device", default="cuda" if gpu else "cpu")
    parser.add_argument(
        "--processes",
        type=int,
        default=1 if gpu else min(2, os.cpu_count() or 1),
        help="cores to use",
    )
    parser.add_argument(
        "--effort", type=float, default=1.0, help="the usual number of steps, times this"
    )
    parser.add_argument("--prompts", type=int, default=evaluate.PROMPTS, help="to score it with")
    asked = parser.parse_args()
    # Another seed or effort is another training, and never goes on with this one's state.
    asked.work /= f"seed-{asked.seed}-effort-{asked.effort:g}"
    asked.work.mkdir(parents=True, exist_ok=True)
    with tempfile.TemporaryDirectory() as meeting:
        place = f"file://{meeting}/meeting"
        others = mp.spawn(_help, (asked, place), nprocs=asked.processes - 1, join=False)
        # This process is the first: when it is ended, the others find nobody to average with.
        _work(0, asked, place)
        while not others.join():
            pass
    evaluate.report(asked.out, asked.prompts)


def _help(number: int, asked: argparse.Namespace, meeting: str) -> None:
    _work(number + 1, asked, meeting)


def _work(rank: int, asked: argparse.Namespace, meeting: str) -> None:
    """What each process does.

    每个进程的训练工作。
    """
    torch.set_num_threads(1)
    dist.init_process_group("gloo", init_method=meeting, rank=rank, world_size=asked.processes)
    share = Share(rank, asked.processes, asked.device)
    pipeline = checkpoint.pipeline(checkpoint.TRAINED, seed=asked.seed).to(share.device)
    heads = reading.Heads(checkpoint.TRAINED.text_width, seed=asked.seed)
    heads.of.to(share.device)
    train(pipeline, heads, asked.work, share, seed=asked.seed, scale=asked.effort)
    if rank == 0:
        save(pipeline, asked.out)
    dist.destroy_process_group()


def train(
    pipeline: Any, heads: reading.Heads, folder: Path, share: Share, *, seed: int, scale: float = 1
) -> None:
    """Train all parts of the pipeline in place; `folder` keeps what is done.

    依次训练管线的各部分。
    """
    learn(reading.lesson(pipeline, heads, seed, scale), folder, share)
    autoencode.prepare(pipeline.vae, seed=seed)
    learn(autoencode.lesson(pipeline.vae, seed, scale), folder, share)
    bank = _bank(pipeline, folder, share, seed, round(flow.BANK * scale))

    def show(step: int) -> None:
        if share.rank == 0 and step % _SHEET_EVERY == 0:
            sheet.make(pipeline, seed=seed).save(folder / f"flow-{step:05}.png")

    learn(flow.lesson(pipeline, heads, bank, seed, scale, show), folder, share)


def save(pipeline: Any, folder: Path) -> None:
    """Write the checkpoint in float16, without anything that is not needed to run it.

    以 float16 保存模型。
    """
    aside = folder.with_name(f".{folder.name}.new")
    shutil.rmtree(aside, ignore_errors=True)
    pipeline.to("cpu", torch.float16)
    pipeline.save_pretrained(aside)
    kept = [folder / name for name in ("README.md", "sheet.png", "scores.json")]
    for file in kept:
        if file.exists():
            shutil.copy2(file, aside)
    shutil.rmtree(folder, ignore_errors=True)
    aside.rename(folder)


def _bank(pipeline: Any, folder: Path, share: Share, seed: int, size: int) -> flow.Bank:
    """Encode the drawings once; every process a part, then all read all.

    把训练图片编码一次并共享。
    """
    part = folder / f"bank-{share.rank}-{share.world}.pt"
    numbers = range(share.rank * size // share.world, (share.rank + 1) * size // share.world)
    if not part.exists():
        latents, weights = [], []
        for first in range(numbers.start, numbers.stop, _AT_ONCE):
            pictures, counts = flow.bank_pictures(
                range(first, min(first + _AT_ONCE, numbers.stop)), seed
            )
            with torch.no_grad():
                found = autoencode.encode(pipeline.vae, pictures.to(share.device))
            latents.append(found.half().cpu())
            weights.append(counts)
        aside = part.with_suffix(".new")
        torch.save({"latents": torch.cat(latents), "weights": torch.cat(weights)}, aside)
        aside.replace(part)  # an ended training leaves a whole part or none
    dist.barrier()
    parts = [
        torch.load(folder / f"bank-{rank}-{share.world}.pt", weights_only=True)
        for rank in range(share.world)
    ]
    latents = torch.cat([each["latents"] for each in parts]).float()
    autoencode.measure(pipeline.vae, latents)
    packed = flow.pack(pipeline, latents).half()
    return flow.Bank(packed, torch.cat([each["weights"] for each in parts]))


if __name__ == "__main__":
    main()
