"""A/A: nights that differ by nothing but their seed, one after the other at the gate.

Nobody here is really better than anybody else, so whoever is promoted beyond the refresh rule (the
lower end of the paired 95 % interval above 0, what another configuration has to show) is promoted
falsely. Each night meets the champion of its turn, as in production.

    python -m benchmarks.same_data --nights 20 --scale 0.1
"""

import argparse
import re
import tempfile
from pathlib import Path

from flows.nightly import nightly
from tasks.demo_world import write_demo_world
from tasks.reporting.summary import Summary

RULE = re.compile(r"NDCG@10 is (?P<mean>\S+) \[(?P<low>\S+), (?P<high>\S+)\] off the champion")


def main() -> None:
    """Print a row a night, then how many were promoted, by which rule."""
    parser = argparse.ArgumentParser(
        prog="python -m benchmarks.same_data", description=(__doc__ or "").splitlines()[0]
    )
    parser.add_argument("--nights", type=int, default=20, help="after the first (default: 20)")
    parser.add_argument("--scale", type=float, default=0.1, help="of the world (default: 0.1)")
    parser.add_argument("--world-seed", type=int, default=42, help="of the world (default: 42)")
    asked = parser.parse_args()
    print("| seed | hybrid NDCG@10 | minus the champion | 95 % interval | above 0 | promoted |")
    print("|---|---|---|---|---|---|")
    with tempfile.TemporaryDirectory() as scratch:
        world = Path(scratch) / "world"
        world.mkdir()
        write_demo_world(world, asked.scale, asked.world_seed)
        nights = [
            shown(seed, nightly(source=str(world), root=f"{scratch}/root", seed=seed))
            for seed in range(asked.nights + 1)
        ]
    beyond_accuracy = sum(is_beyond for is_beyond, _ in nights)
    promoted = sum(is_promoted for _, is_promoted in nights[1:])
    print(
        f"\n{asked.nights} nights on the same data: {beyond_accuracy} promoted beyond the refresh"
        " rule,"
        f" {promoted} by it or beyond"
    )


def shown(seed: int, night: Summary) -> tuple[bool, bool]:
    """Print a night's row; return if it was promoted beyond the refresh rule, and if at all."""
    gate = night.promotion
    rule = RULE.match(gate.reasons[0])
    ndcg = night.models[gate.model].metrics["ndcg_at_10"].mean or 0.0
    difference, interval, is_above = "the first", "", False
    if rule is not None:
        difference, interval = rule["mean"], f"[{rule['low']}, {rule['high']}]"
        is_above = float(rule["low"]) > 0
    said = "yes" if gate.is_promoted else f"no: {'; '.join(gate.reasons[1:]) or 'the interval'}"
    row = (str(seed), f"{ndcg:.4f}", difference, interval, "yes" if is_above else "no", said)
    print("| " + " | ".join(row) + " |", flush=True)
    return is_above and gate.is_promoted, gate.is_promoted


if __name__ == "__main__":
    main()
