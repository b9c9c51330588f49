"""Kill the worker before and after every call into store, bucket and provider, and see.

For each way of asking and each number of times that events arrive, one run counts the calls;
then, for every call, a run is killed before it and another after it, and other workers go on.
Every job must end, with at most one create in the generator's log, a whole result in the bucket
and a webhook that verifies. The generator is Tripo's stand-in, or a real Qwen-Image service on a
tiny model (`--provider qwen-image`). On AWS (`--cloud aws`, emulated) a call is a single request,
on Tencent Cloud (`--cloud tencent`) a single SQL statement, commit or request to COS.

在每一次外部调用的前后杀死进程，验证任务不丢、不重复付费。
"""

from __future__ import annotations

import argparse
import random
import sys
from concurrent.futures import ThreadPoolExecutor, as_completed

from infra.local.prove.generators import GENERATORS
from infra.local.prove.live.scenarios import LIVE
from infra.local.prove.places import PLACES
from infra.local.prove.receiver import Receiver
from infra.local.prove.scenario import Scenario
from infra.local.prove.sweep import Pool, Sweep, pairs
from infra.local.prove.tally import Tally, report
from shared.deliveries.signing import new_secret

_PAIRS = 25


def main(argv: list[str] | None = None) -> int:
    """Run the proof; 0 if every promise held, 1 otherwise.

    验证的入口。
    """
    options = _options(argv)
    known = GENERATORS[options.provider].scenarios()
    chosen = [item for item in known if item.name in options.scenario]
    secret = new_secret()
    pool = Pool(options.jobs, options.cloud, options.provider)
    files = {item.name: item.photo for item in chosen if item.photo is not None}
    with Receiver(secret, files) as receiver:
        try:
            sweep = Sweep(pool, receiver, secret, options.sample, freeze=options.freeze)
            _carry_out(sweep, chosen, options)
        finally:
            pool.close()
    _carry_out_live(sweep.tally, options)
    return report(sweep.tally)


def _carry_out_live(tally: Tally, options: argparse.Namespace) -> None:
    """Those in real time, one after another: each measures what the machine can do."""
    names = [name for name in LIVE if name in options.scenario]
    if not names:
        return
    with PLACES[options.cloud]() as place:
        for name in names:
            tally.add(name, LIVE[name](place, f"prove-{name}"))
            print(name, file=sys.stderr, flush=True)


def _carry_out(sweep: Sweep, chosen: list[Scenario], options: argparse.Namespace) -> None:
    """Run the chosen scenarios side by side, with a bar each.

    并行运行各个场景。
    """
    from rich.console import Console
    from rich.progress import BarColumn, MofNCompleteColumn, Progress, TimeRemainingColumn

    bar = ("[progress.description]{task.description}", BarColumn(), MofNCompleteColumn())
    console = Console(stderr=True)
    dice = random.Random(options.seed)
    with (
        Progress(*bar, TimeRemainingColumn(), console=console) as progress,
        ThreadPoolExecutor(options.jobs) as threads,
    ):
        for scenario in chosen:
            for times in options.events if scenario.every else options.events[-1:]:
                calls = sweep.count(scenario, times)
                deaths = list(sweep.deaths(scenario, calls))
                deaths += pairs(deaths, options.pairs, dice)
                label = f"{scenario.name}, events x{times}, {len(calls)} calls"
                task = progress.add_task(label, total=len(deaths))
                runs = [threads.submit(sweep.run, scenario, times, each) for each in deaths]
                for _ in as_completed(runs):
                    progress.advance(task)
                if not console.is_terminal:
                    print(f"{label}, {len(deaths)} deaths", file=sys.stderr, flush=True)


def _options(argv: list[str] | None) -> argparse.Namespace:
    """Read the command line.

    读取命令行参数。
    """
    parser = argparse.ArgumentParser(prog="scripts/prove", description=__doc__.split("\n")[0])
    known = {name: [item.name for item in one.scenarios()] for name, one in GENERATORS.items()}
    default = next(iter(GENERATORS))
    known[default] += LIVE
    parser.add_argument(
        "--provider",
        choices=GENERATORS,
        default=default,
        help=f"who makes what is asked for: a stand-in for Tripo, or a real Qwen-Image service on "
        f"a tiny model ({default})",
    )
    parser.add_argument(
        "--scenario",
        action="append",
        metavar="NAME",
        help="; ".join(
            f"{name}: {', '.join(known[name])} ({', '.join(one.usual)})"
            for name, one in GENERATORS.items()
        ),
    )
    parser.add_argument("--all", action="store_true", help="every scenario")
    parser.add_argument(
        "--cloud",
        choices=PLACES,
        default="local",
        help="where store and bucket are: this machine's disk, an emulated AWS, or a MariaDB and "
        "an emulated COS of Tencent Cloud (local)",
    )
    parser.add_argument(
        "--events", type=int, action="append", choices=(0, 1, 2), help="default: 0, 1 and 2"
    )
    parser.add_argument("--jobs", type=int, default=2, help="runs side by side (2)")
    parser.add_argument("--sample", type=int, default=1, help="kill at every n-th call only (1)")
    parser.add_argument(
        "--freeze",
        action="store_true",
        help="workers are not killed but frozen, with all that they hold, and go on later",
    )
    parser.add_argument(
        "--pairs",
        type=int,
        help="so many runs more in which two workers die, drawn from all pairs of calls "
        f"(0; with --all {_PAIRS}), for each scenario and number of events",
    )
    parser.add_argument("--seed", type=int, default=0, help="of the dice that draw the pairs (0)")
    options = parser.parse_args(argv)
    names = known[options.provider]
    for name in options.scenario or ():
        if name not in names:
            parser.error(f"no scenario {name!r} for {options.provider}; there are: {names}")
    usual = GENERATORS[options.provider].usual
    options.scenario = names if options.all else options.scenario or list(usual)
    options.events = options.events or [0, 1, 2]
    if options.pairs is None:
        options.pairs = _PAIRS if options.all else 0
    return options


if __name__ == "__main__":
    sys.exit(main())
