"""What becomes of models that are not trained anew: asked on later days, beside that day's own."""

from collections.abc import Mapping
from datetime import date

import numpy as np
import polars as pl
from numpy.typing import NDArray

from schemas.artifacts import Snapshot
from schemas.protocol import Protocol
from tasks.artifacts.inputs import Inputs, Outputs
from tasks.artifacts.table_task import Input, table_task
from tasks.evaluation.task import load_eval_set, protocol_of, state_protocol
from tasks.metrics.eval_set import EvalSet, measure
from tasks.metrics.holdout_metrics import HoldoutSet, measure_holdout
from tasks.metrics.labels import PRIMARY
from tasks.metrics.model_age import staleness_of
from tasks.metrics.ranking import rank
from tasks.models.score_by_id import scores_by_id
from tasks.training.task import load_models

STAGE = "staleness"
K = 10
SHOWN = "exposed_only"


class TestSets:
    """What a day asks of every model: its eval set, and what users were first shown from it on."""

    def __init__(self, inputs: Inputs) -> None:
        """Read both, for test users alone."""
        self.eval_set: EvalSet = load_eval_set(inputs.store, inputs["eval_pairs"]).of_test_users
        self.video_ids = _ids(inputs, "video_index")
        self.user_ids = _ids(inputs, "user_index")[self.eval_set.user_idx]
        shown, before = inputs.parted("holdout"), inputs.parted("user_item")
        self.shown = HoldoutSet.of(shown, before, len(self.video_ids))

    def measure(self, scores: NDArray[np.float32]) -> pl.DataFrame:
        """Measure scores (n test users, m videos): rows (bed, user_id, value) of NDCG@10."""
        on_cells = np.ascontiguousarray(scores[:, self.eval_set.video_idx])
        ranked = rank(on_cells, self.eval_set.candidates, K)
        on_block, _ = measure(self.eval_set, on_cells, ranked, ks=(K,), labels=(PRIMARY,))
        # Whoever was shown something is a test user of the eval set
        shown_to = np.searchsorted(self.eval_set.user_idx, self.shown.user_idx)
        on_shown = measure_holdout(self.shown, scores[shown_to]).filter(label=SHOWN)
        figures = pl.concat(
            rows.filter(metric="ndcg", k=K).select(
                pl.lit(test_set).alias("test_set"), "user_idx", "value"
            )
            for test_set, rows in (("small_matrix", on_block), (SHOWN, on_shown))
        )
        ids = pl.DataFrame({"user_idx": self.eval_set.user_idx, "user_id": self.user_ids})
        return figures.join(ids, on="user_idx", maintain_order="left").select(
            "test_set", "user_id", "value"
        )


def inputs_of_ages(days: Mapping[str, Snapshot], holdout: Input) -> dict[str, Input]:
    """Choose what the models of several days are asked on the last of them, by role."""
    *_, last = days.values()
    inputs: dict[str, Input] = {"holdout": holdout}
    inputs |= {
        name: last.tables[name] for name in ("eval_pairs", "user_item", "user_index", "video_index")
    }
    for day, known in days.items():
        inputs |= {f"model/{day}/{name}": ref for name, ref in known.models.items()}
        inputs |= {f"{i}/{day}": known.tables[i] for i in ("user_index", "video_index")}
    return inputs


@table_task(
    stage=STAGE,
    reads=(
        *("holdout", "eval_pairs", "user_item", "user_index", "video_index"),
        *("model/*", "user_index/*", "video_index/*"),
    ),
    writes=("model_age_scores",),
)
def score_old_models(inputs: Inputs, out: Outputs, *, as_of: date) -> None:
    """Ask the models of a day, and those of the days before it, what the day asks."""
    test_sets = TestSets(inputs)
    for day in inputs.group("user_index"):
        its_ids = (_ids(inputs, f"user_index/{day}"), _ids(inputs, f"video_index/{day}"))
        for name, model in load_models(inputs, f"model/{day}").items():
            figures = test_sets.measure(
                scores_by_id(model, its_ids, test_sets.user_ids, test_sets.video_ids)
            )
            out["model_age_scores"].append(
                figures.select(
                    pl.lit(name).alias("model"),
                    "test_set",
                    pl.lit(date.fromisoformat(day)).alias("trained_as_of"),
                    pl.lit(as_of).alias("day"),
                    *("user_id", "value"),
                )
            )
    state_protocol(out, protocol_of(inputs["eval_pairs"]))


def _ids(inputs: Inputs, role: str) -> NDArray[np.int32]:
    """Return what a day knew of users or videos, as ids, ascending."""
    ids: NDArray[np.int32] = inputs.read(role)[f"{role.partition('_')[0]}_id"].to_numpy()
    return ids


@table_task(stage=STAGE, reads=("scores/*",), writes=("staleness",))
def compare_ages(inputs: Inputs, out: Outputs, *, seed: int) -> None:
    """Say by age what models lose against those trained on the very day, day by day."""
    out["staleness"].append(staleness_of(inputs.concat("scores"), seed))
    out["staleness"].metadata["protocols"] = {
        day: Protocol.model_validate(ref.metadata["protocol"]).fingerprint
        for day, ref in inputs.group("scores").items()
    }
