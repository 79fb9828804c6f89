"""What becomes of models that are not trained anew: asked on later days, beside that day's own."""

from collections.abc import Mapping, Sequence

import numpy as np
import polars as pl
from numpy.typing import NDArray
from prefect.client.schemas import State

from schemas.artifacts import ArtifactRef, Known
from schemas.protocol import Protocol
from tasks.artifacts.store import Store
from tasks.artifacts.table_task import Refs, make, step
from tasks.artifacts.writer import Draft
from tasks.evaluation.task import load_exam, protocol_of
from tasks.metrics.eval_set import Exam, measure
from tasks.metrics.holdout_metrics import NextDays, measure_next_days
from tasks.metrics.labels import PRIMARY
from tasks.metrics.model_age import staleness_of
from tasks.metrics.ranking import rank
from tasks.models.score_by_id import scores_by_id
from tasks.training.task import code_of, load_model

STAGE = "staleness"
K = 10
SHOWN = "shown"


class Beds:
    """What a day asks of every model: its exam, and what users were first shown from it on."""

    def __init__(self, day: Known, next_days: ArtifactRef, root: str) -> None:
        """Read both, for test users alone."""
        store, tables = Store(root), day.tables
        self.exam: Exam = load_exam(root, tables["cells"]).of_test_users
        self.video_ids = _ids(store, day, "video")
        self.user_ids = _ids(store, day, "user")[self.exam.user_idx]
        before = store.read(tables["pairs"], ["user_idx", "video_idx", "enjoyed"])
        self.shown = NextDays.of(store.read(next_days), before, len(self.video_ids))

    def measure(self, scores: NDArray[np.float32]) -> pl.DataFrame:
        """Measure scores (n test users, m videos): rows (bed, user_id, value) of NDCG@10."""
        on_cells = np.ascontiguousarray(scores[:, self.exam.video_idx])
        ranked = rank(on_cells, self.exam.candidates, K)
        on_block, _ = measure(self.exam, on_cells, ranked, ks=(K,), labels=(PRIMARY,))
        # Whoever was shown something is a test user of the exam
        shown_to = np.searchsorted(self.exam.user_idx, self.shown.user_idx)
        on_shown = measure_next_days(self.shown, scores[shown_to]).filter(label=SHOWN)
        figures = pl.concat(
            rows.filter(metric="ndcg", k=K).select(pl.lit(bed).alias("bed"), "user_idx", "value")
            for bed, rows in (("block", on_block), (SHOWN, on_shown))
        )
        ids = pl.DataFrame({"user_idx": self.exam.user_idx, "user_id": self.user_ids})
        return figures.join(ids, on="user_idx", maintain_order="left").select(
            "bed", "user_id", "value"
        )


@step("age", "age-{day.as_of}")
def age(day: Known, earlier: Sequence[Known], next_days: ArtifactRef, root: str) -> State[Refs]:
    """Ask the models of a day, and those of the days before it, what the day asks: ``aged``."""
    store = Store(root)
    asked = (*earlier, day)

    def build(drafts: dict[str, Draft]) -> None:
        beds, draft = Beds(day, next_days, root), drafts["aged"]
        for known in asked:
            its_ids = (_ids(store, known, "user"), _ids(store, known, "video"))
            for name, ref in known.models.items():
                model = load_model(store, ref)
                figures = beds.measure(scores_by_id(model, its_ids, beds.user_ids, beds.video_ids))
                draft.append(
                    figures.select(
                        pl.lit(name).alias("model"),
                        "bed",
                        pl.lit(known.as_of).alias("trained"),
                        pl.lit(day.as_of).alias("day"),
                        *("user_id", "value"),
                    )
                )
        draft.facts["protocol"] = protocol_of(day.tables["cells"]).model_dump(mode="json")

    of_day = ("cells", "pairs", "user_index", "video_index")
    parents = {"next_days": next_days} | {table: day.tables[table] for table in of_day}
    for known in asked:
        parents |= {f"{name}_{known.as_of}": ref for name, ref in known.models.items()}
        parents |= {f"{i}_{known.as_of}": known.tables[i] for i in ("user_index", "video_index")}
    return make(
        store,
        STAGE,
        ("aged",),
        build,
        parents=parents,
        found=[found for name in day.models for found in code_of(day, name)],
        config={"days": [str(known.as_of) for known in asked], "models": list(day.models)},
    )


def _ids(store: Store, known: Known, kind: str) -> NDArray[np.int32]:
    """Return what a day knew of users or videos, as ids, ascending."""
    ids: NDArray[np.int32] = store.read(known.tables[f"{kind}_index"])[f"{kind}_id"].to_numpy()
    return ids


@step("staleness")
def staleness(aged: Mapping[str, ArtifactRef], seed: int, root: str) -> State[Refs]:
    """Say by age what models lose against those trained on the very day: ``staleness``.

    ``aged`` holds the table of each day; figures are compared within a day alone.
    """
    store = Store(root)

    def build(drafts: dict[str, Draft]) -> None:
        rows = pl.concat([store.read(ref) for ref in aged.values()])
        drafts["staleness"].append(staleness_of(rows, seed))
        drafts["staleness"].facts["protocols"] = {
            day: Protocol.model_validate(ref.facts["protocol"]).fingerprint
            for day, ref in aged.items()
        }

    return make(
        store,
        STAGE,
        ("staleness",),
        build,
        parents=aged,
        config={"days": list(aged)},
        seed=seed,
    )
