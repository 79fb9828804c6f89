"""Writes the demo world as KuaiRec's CSV files, with the planted truth beside it."""

import shutil
import tempfile
from pathlib import Path

from tqdm import tqdm

from schemas.errors import ConfigError
from schemas.paths import absolute
from schemas.settings import DemoDataConfig
from tasks.demo_world import write_demo_world


def demo_data(config: DemoDataConfig) -> str:
    """Write the world, and tell where it is; ConfigError if something else is there."""
    out = absolute(config.out)
    if out.exists() and (not out.is_dir() or any(out.iterdir())):
        raise ConfigError(f"out: {out} exists and is not an empty folder")
    write(out, config)
    world = f"the demo world at scale {config.scale:g}, seed {config.seed}"
    return f"{out}: {world}. It is not real data."


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
