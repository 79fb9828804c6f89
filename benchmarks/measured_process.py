"""One side of a part, in this process; its facts come out as a line of JSON.

A part is a module ``benchmarks.<part>`` whose ``SIDES`` holds a function a side.

    python -m benchmarks.measured_process als ours --ground data/benchmarks/demo-1-42
"""

import argparse
import importlib
import json
from pathlib import Path

import flows  # noqa: F401  # settles the environment, before a part imports NumPy
from benchmarks.ground import Ground


def main() -> None:
    """Run the side that is asked for."""
    parser = argparse.ArgumentParser(
        prog="python -m benchmarks.measured_process", description=(__doc__ or "").splitlines()[0]
    )
    parser.add_argument("part", help="a module of benchmarks/ with sides")
    parser.add_argument("side", help="what to run of it")
    parser.add_argument(
        "--ground",
        required=True,
        type=Path,
        help="folder with world and first night, as `python -m benchmarks` makes it under --work",
    )
    asked = parser.parse_args()
    sides = importlib.import_module(f"benchmarks.{asked.part}").SIDES
    if asked.side not in sides:
        parser.error(f"{asked.part} has the sides {', '.join(sides)}")
    facts = sides[asked.side](Ground.open(asked.ground.resolve()))
    print("\n" + json.dumps(facts))


if __name__ == "__main__":
    main()
