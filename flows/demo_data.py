"""Writes the demo world as KuaiRec's CSV files, with the planted truth beside it."""

import shutil
import tempfile
from pathlib import Path

from tqdm import tqdm

from flows.parameters import fail, flags
from schemas.config import DemoDataConfig
from schemas.errors import GrailError
from tasks.sources.demo import write_demo_world

PROG = "python -m flows.demo_data"


def main() -> None:
    """Write into a folder beside ``--out`` first, so that it is there whole or not at all."""
    config = flags(DemoDataConfig, PROG)
    out = Path(config.out)
    if out.exists() and (not out.is_dir() or any(out.iterdir())):
        fail(PROG, f"out: {out} exists and is not an empty folder")
    try:
        out.parent.mkdir(parents=True, exist_ok=True)
        with tempfile.TemporaryDirectory(dir=out.parent, prefix=f".{out.name}-") as scratch:
            world = Path(scratch) / "world"
            world.mkdir()
            with tqdm(desc="demo world", unit="part", disable=None) as bar:

                def show(done: int, total: int) -> None:
                    bar.total = total
                    bar.update(done - bar.n)

                write_demo_world(world, config.scale, config.seed, show)
            if out.exists():
                out.rmdir()
            shutil.move(world, out)
    except (GrailError, OSError) as error:
        fail(PROG, str(error), code=1)
    print(
        f"{out}: the demo world at scale {config.scale:g}, seed {config.seed}. It is not real data."
    )


if __name__ == "__main__":
    main()
