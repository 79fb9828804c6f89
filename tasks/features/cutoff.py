"""The cut: which instant ``as_of`` means."""

from datetime import UTC, date, datetime, time
from zoneinfo import ZoneInfo

import polars as pl

SHANGHAI = ZoneInfo("Asia/Shanghai")


def cut_at(as_of: date) -> datetime:
    """Return midnight of ``as_of`` in Shanghai, in UTC: what is before it may be learned from."""
    return datetime.combine(as_of, time(), tzinfo=SHANGHAI).astimezone(UTC)


def before(as_of: date, column: str = "viewed_at") -> pl.Expr:
    """Return the condition that ``column`` is known by ``as_of``."""
    return pl.col(column) < pl.lit(cut_at(as_of)).cast(pl.Datetime("ms", "UTC"))
