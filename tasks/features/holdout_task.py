"""The rehearsal: what users saw on the days after an earlier cut, for the blend to learn from."""

from collections.abc import Mapping
from datetime import date

from prefect.client.schemas import State

from schemas.artifacts import ArtifactRef
from tasks.artifacts.store import Store
from tasks.artifacts.table_task import Refs, make, step
from tasks.artifacts.writer import Draft
from tasks.features.cutoff import before
from tasks.features.holdout import first_met, of_same_users
from tasks.features.user_item import pairs_of


@step("next-days", "next-days-{earlier}")
def next_days(
    tables: Mapping[str, ArtifactRef], earlier: date, as_of: date, root: str
) -> State[Refs]:
    """Gather the pairs first seen from ``earlier`` until ``as_of``: ``next_days``.

    ``tables`` are those of the earlier cut. Views of users and videos that nobody knew at that cut
    are left out and counted.
    """
    store = Store(root)
    parents = ("interactions", "user_index", "video_index", "enjoyed_curve", "pairs", "cells")

    def build(drafts: dict[str, Draft]) -> None:
        users, videos, curve = (
            store.read(tables[name]) for name in ("user_index", "video_index", "enjoyed_curve")
        )
        known = store.read(tables["pairs"], ["user_idx", "video_idx"])
        cells = store.read(tables["cells"], ["user_idx", "is_test"])
        test_users = cells.filter("is_test")["user_idx"].unique()
        seen_videos = known["video_idx"].unique()
        draft, strangers = drafts["next_days"], 0
        for views in store.row_groups(tables["interactions"]):
            later = views.filter(before(as_of) & ~before(earlier))
            met = pairs_of(later, curve, users, videos)
            strangers += later.height - int(met["views"].sum())
            rows = first_met(met, of_same_users(known, met), seen_videos, test_users)
            if rows.height or draft.rows is None:  # a table without rows is a table too
                draft.append(rows)
        draft.facts["views_of_strangers"] = strangers

    return make(
        store,
        "evaluation",
        ("next_days",),
        build,
        parents={name: tables[name] for name in parents},
        config={"earlier": str(earlier), "as_of": str(as_of)},
    )
