"""What one provider's plight costs another's jobs: `python -m scripts.bench.neighbours`.

Provider A takes no create at all, or drips its results, or says 429 to 3,000 queued jobs; measured
is how long provider B's jobs wait from POST to create, and how often the table of jobs is written
meanwhile: on SQLite, and on an emulated DynamoDB (`./scripts/serve --cloud aws` installs it).

测量一个生成服务出问题时，另一个的任务受多少影响。
"""

from __future__ import annotations

import argparse
from dataclasses import replace

from infra.local.prove.live.neighbours import KINDS, MEDIAN, PLIGHTS, WORST, WRITES, measure
from infra.local.prove.places import PLACES

STORES = {"local": "SQLite", "aws": "DynamoDB, emulated"}


def main() -> None:
    """Measure each plight in each place, print a table.

    运行测量并打印表格。
    """
    options = _options()
    print("| provider A | its jobs | store | median | worst | writes/s |")
    print("|---|---|---|---|---|---|")
    for cloud in options.cloud or PLACES:
        with PLACES[cloud]() as place:
            for name in options.plight or PLIGHTS:
                plight = PLIGHTS[name]
                if options.jobs is not None:
                    plight = replace(plight, jobs=options.jobs)
                found = measure(
                    place,
                    f"bench-{name}",
                    plight,
                    troubled=options.troubled,
                    asked=options.asked,
                    every=options.every,
                )
                print(
                    f"| {options.troubled} {name} | {plight.jobs} | {STORES[cloud]} "
                    f"| {found.median:.2f} s | {found.worst:.2f} s | {found.writes:.1f} |",
                    flush=True,
                )
    print(f"\nAllowed: {MEDIAN} s, {WORST} s, {WRITES:.0f} writes/s.")


def _options() -> argparse.Namespace:
    """Read the command line.

    读取命令行参数。
    """
    parser = argparse.ArgumentParser(
        prog="python -m scripts.bench.neighbours", description=(__doc__ or "").split("\n")[0]
    )
    parser.add_argument("--cloud", action="append", choices=PLACES, help="default: all")
    parser.add_argument("--plight", action="append", choices=PLIGHTS, help="default: all")
    parser.add_argument("--troubled", choices=KINDS, default="qwen-image", help="provider A")
    parser.add_argument("--jobs", type=int, help="how many of A's wait (60, 64 and 3000)")
    parser.add_argument("--asked", type=int, default=20, help="jobs of B (20)")
    parser.add_argument("--every", type=float, default=0.5, help="seconds between them (0.5)")
    return parser.parse_args()


if __name__ == "__main__":
    main()
