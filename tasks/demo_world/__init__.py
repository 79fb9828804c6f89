"""The demo world: made-up files in KuaiRec's layout, with a taste planted in them that is known.

Here: the spec from a seed to the seven CSV files, the truth beside them and the marker that says
that they are not real. Not here: reading them (the ordinary ingest does) and atomic folders.
"""

from tasks.demo_world.generate import write_demo_world
from tasks.demo_world.params import check_scale, scale_range

__all__ = ["check_scale", "scale_range", "write_demo_world"]
