"""Writes the demo world as KuaiRec's CSV files, with the planted truth beside it."""

import shutil
import tempfile
from pathlib import Path

from tqdm import tqdm

from flows.commands.cli import flags
from flows.commands.failures import one_line
from flows.commands.terminal import say
from schemas.errors import SettingError
from schemas.paths import absolute
from schemas.settings import DemoDataConfig
from tasks.demo_world import write_demo_world

PROG = "python -m flows.demo_data"


def main() -> None:
    """Write the world, and say where it is."""
    config = flags(DemoDataConfig, PROG)
    out = absolute(config.out)
    with one_line(PROG):
        if out.exists() and (not out.is_dir() or any(out.iterdir())):
            raise SettingError(f"out: {out} exists and is not an empty folder")
        write(out, config)
        world = f"the demo world at scale {config.scale:g}, seed {config.seed}"
        say(f"{out}: {world}. It is not real data.")


def write(out: Path, config: DemoDataConfig) -> None:
    """Write into a folder beside ``out`` first, so that it is there whole or not at all."""
    out.parent.mkdir(parents=True, exist_ok=True)
    with tempfile.TemporaryDirectory(dir=out.parent, prefix=f".{out.name}-") as scratch:
        world = Path(scratch) / "world"
        world.mkdir()
        with tqdm(desc="demo world", unit="part", disable=None) as bar:

            def progress(done: int, total: int) -> None:
                bar.total = total
                bar.update(done - bar.n)

            write_demo_world(world, config.scale, config.seed, progress)
        if out.exists():
            out.rmdir()
        shutil.move(world, out)


if __name__ == "__main__":
    main()
