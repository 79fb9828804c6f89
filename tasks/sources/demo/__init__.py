"""The demo world: made-up files in KuaiRec's layout, with a taste planted in them that is known.

Here: the recipe from a seed to the seven CSV files, the truth beside them and the marker that says
that they are not real. Not here: reading them (the ordinary ingest does) and atomic folders.
"""

from tasks.sources.demo.shape import check_scale, scale_range
from tasks.sources.demo.writer import write_demo_world

__all__ = ["check_scale", "scale_range", "write_demo_world"]
