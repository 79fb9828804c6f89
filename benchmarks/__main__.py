"""Measures this project side by side with what one would otherwise write.

Every side runs in a fresh process, in turn with the others; what several sides compute must be
equal, or the command fails. Results are kept in a JSON file part by part, so that parts can be
measured one at a time; the tables are printed, and with --readme written there.

    python -m benchmarks                                  # all of it, at KuaiRec's full shape
    python -m benchmarks --only ingest,als --scale 0.05   # two parts, small
    python -m benchmarks --show --out benchmarks/results.json   # the tables of what is measured
"""

import argparse
import json
import os
import sys
from collections import defaultdict
from collections.abc import Sequence
from pathlib import Path
from types import ModuleType
from typing import Any

import flows  # noqa: F401  # settles the environment, before a part imports NumPy
from benchmarks import (
    als,
    ingest,
    metrics,
    neighbours,
    new_day,
    night,
    scale_x10,
    scale_x10_night,
    top_n,
    two_tower,
    waits,
)
from benchmarks.ground import BenchmarkError, Ground, run
from benchmarks.measure import CHECK
from benchmarks.results import Results, write_into

MODULES = (
    *(ingest, new_day, als, two_tower, neighbours, metrics, top_n),
    *(night, waits, scale_x10, scale_x10_night),
)
PARTS: dict[str, ModuleType] = {module.__name__.split(".")[-1]: module for module in MODULES}
WITHOUT_FIRST_NIGHT = {"ingest", "new_day", "night", "scale_x10", "scale_x10_night"}
PREPARE = "prepare"


def parse(arguments: Sequence[str] | None = None) -> argparse.Namespace:
    """Read the flags."""
    about = (__doc__ or "").split("\n\n")
    parser = argparse.ArgumentParser(
        prog="python -m benchmarks",
        description="\n\n".join(about[:2]),
        epilog="Parts: " + ", ".join(PARTS),
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    add = parser.add_argument
    add("--scale", type=float, default=1.0, help="of the demo world; 1 is KuaiRec's (default 1)")
    add("--seed", type=int, default=42, help="of the world and of the night (default 42)")
    add(
        "--repeats",
        type=int,
        default=3,
        help="runs of each side, in turn (default 3; of als three times as many)",
    )
    add("--only", type=_parts, default=[*PARTS], help="some parts, with commas (default all)")
    add(
        "--world",
        type=Path,
        help="a folder of KuaiRec's files, in the place of the demo world of --scale",
    )
    add(
        "--work",
        type=Path,
        default=Path("data/benchmarks"),
        help="folder for worlds, artefacts and results; used again if there (default"
        " data/benchmarks; at scale 1 with all parts about 70 GB)",
    )
    add(
        "--out",
        type=Path,
        help="JSON file of all runs; parts already in it for the same world are kept (default"
        " results.json beside the world in --work)",
    )
    add("--show", action="store_true", help="measure nothing: show what --out holds already")
    add("--readme", type=Path, help="README to write the tables into, between its two markers")
    asked = parser.parse_args(arguments)
    if asked.show and not (asked.out and asked.out.exists()):
        parser.error("--show needs the file to be shown: --out")
    return asked


def _parts(text: str) -> list[str]:
    names = text.split(",")
    if unknown := [name for name in names if name not in PARTS]:
        raise argparse.ArgumentTypeError(f"no part {', '.join(unknown)}: there are {[*PARTS]}")
    return names


def main() -> None:
    """Measure what is asked for, and show all that is known."""
    asked = parse()
    # The runs of a person's own server neither slow these down nor get lost among them
    os.environ.setdefault("PREFECT_HOME", str(asked.work.resolve() / "prefect"))
    about = "demo world" if asked.world is None else asked.world.resolve().name
    if asked.show:
        results, failures = Results(asked.out, asked.scale, asked.seed, about), []
    else:
        say("the world, and what a first night makes of it, where they are not there yet")
        ground = Ground.make(asked.work, asked.scale, asked.seed, asked.world)
        out = asked.out or ground.folder / "results.json"
        results = Results(out, ground.scale, ground.seed, about)
        failures = measure(asked.only, ground, asked.repeats, results)
    text = results.as_text({name: part.COMPARISONS for name, part in PARTS.items()})
    print(text)
    if asked.readme is not None and not failures:
        write_into(asked.readme, text)
    if failures:
        sys.exit("\n".join(failures))


def measure(names: Sequence[str], ground: Ground, repeats: int, results: Results) -> list[str]:
    """Measure parts, keeping each as soon as it is done; return what failed."""
    if not WITHOUT_FIRST_NIGHT.issuperset(names):
        ground.play_first_night()
    failures = []
    for name in names:
        try:
            rounds = repeats * getattr(PARTS[name], "TIMES_REPEATS", 1)
            runs = measured(name, ground, rounds)
            check = checked(name, ground)
            results.put(name, rounds, runs, check)
            failures += [check] if isinstance(check, str) else []
        except BenchmarkError as error:
            failures.append(str(error))
    return failures


def measured(name: str, ground: Ground, repeats: int) -> dict[str, list[dict[str, Any]]]:
    """Run the sides of a part in turn, each in its own process; return their facts."""
    sides = [side for side in PARTS[name].SIDES if side not in (PREPARE, CHECK)]
    if PREPARE in PARTS[name].SIDES:
        say(f"{name}: {PREPARE}")
        facts_of(name, PREPARE, ground)
    runs = defaultdict(list)
    for repeat in range(repeats):
        for side in sides:
            facts = facts_of(name, side, ground)
            say(
                f"{name}: {side}, run {repeat + 1} of {repeats}:"
                f" {facts['seconds']:.2f} s, {facts['peak_mib']:,.0f} MiB"
            )
            runs[side].append(facts)
    return dict(runs)


def checked(name: str, ground: Ground) -> dict[str, Any] | str | None:
    """Compare what the sides left; return what was found, or what is wrong, as text."""
    if CHECK not in PARTS[name].SIDES:
        return None
    try:
        return facts_of(name, CHECK, ground)
    except BenchmarkError as error:
        return f"not equal: {str(error).splitlines()[-1]}"


def facts_of(part: str, side: str, ground: Ground) -> dict[str, Any]:
    """Run a side in a fresh process."""
    printed = run("benchmarks.measured_process", part, side, "--ground", ground.folder)
    return dict(json.loads(printed.splitlines()[-1]))


def say(what: str) -> None:
    """Tell what is going on, beside the results."""
    print(what, file=sys.stderr, flush=True)


if __name__ == "__main__":
    main()
