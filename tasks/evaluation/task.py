"""Evaluation: one task a model on the fully observed block, then the leaderboard of all."""

from collections.abc import Mapping
from functools import lru_cache

import numpy as np
import polars as pl
from prefect.client.schemas import State

from schemas.artifacts import ArtifactRef, Known
from schemas.protocol import Protocol, require_same
from schemas.tables import CONTRACTS
from tasks.artifacts.code_fingerprint import origin_of
from tasks.artifacts.store import Store
from tasks.artifacts.table_task import Refs, make, step
from tasks.artifacts.writer import Draft
from tasks.metrics.diagnose import dissected
from tasks.metrics.eval_protocol import exam_protocol
from tasks.metrics.eval_set import ORACLE, Exam, bounds, measure
from tasks.metrics.leaderboard import leaderboard_of, order_models
from tasks.metrics.ranking import rank
from tasks.metrics.sanity_checks import check_lists, check_oracle, check_random, check_users
from tasks.training.task import code_of, load_model

STAGE = "evaluation"


def load_exam(root: str, cells: ArtifactRef) -> Exam:
    """Read the exam; the last two stay in memory, as all models of a night sit the same."""
    return _exam(root, cells.model_dump_json())


@lru_cache(maxsize=2)
def _exam(root: str, cells: str) -> Exam:
    return Exam.of(Store(root).read(ArtifactRef.model_validate_json(cells)))


def per_user_rows(figures: pl.DataFrame, model: str, user_index: pl.DataFrame) -> pl.DataFrame:
    """Name the figures of ``measure`` by model and user id: rows of ``per_user``."""
    return figures.join(user_index, on="user_idx", how="left", maintain_order="left").select(
        pl.lit(model).alias("model"), *list(CONTRACTS["per_user"].to_schema().columns)[1:]
    )


def protocol_of(cells: ArtifactRef) -> Protocol:
    """Return how figures on these cells are measured, the measuring code with it."""
    return exam_protocol(cells.content, origin_of(Exam, measure, bounds, rank).code)


def protocol_in(measured: Mapping[str, ArtifactRef]) -> Protocol:
    """Return the one protocol of all ``per_user`` tables; ProtocolError if they have several."""
    return require_same(
        {name: Protocol.model_validate(ref.facts["protocol"]) for name, ref in measured.items()}
    )


@step("frame")
def frame(tables: Mapping[str, ArtifactRef], root: str) -> State[Refs]:
    """Measure what frames all models on the exam: the oracle and the base rate."""
    store = Store(root)

    def build(drafts: dict[str, Draft]) -> None:
        figures = bounds(load_exam(root, tables["cells"]))
        index = store.read(tables["user_index"])
        drafts["per_user"].append(per_user_rows(figures, ORACLE, index))
        drafts["per_user"].facts["protocol"] = protocol_of(tables["cells"]).model_dump(mode="json")

    return make(
        store,
        STAGE,
        ("per_user",),
        build,
        parents={name: tables[name] for name in ("cells", "user_index")},
        config={"model": ORACLE},
    )


@step("evaluate", "evaluate-{name}-{known.as_of}")
def evaluate(name: str, known: Known, seed: int, root: str) -> State[Refs]:
    """Measure one model on the exam: user by user, on parts of it, and what its lists are like."""
    store = Store(root)
    model, tables = known.models[name], known.tables
    parents = ("cells", "user_index", "user_features", "video_features")

    def build(drafts: dict[str, Draft]) -> None:
        exam = load_exam(root, tables["cells"])
        index, users, videos = (store.read(tables[table]) for table in parents[1:])
        scores = np.ascontiguousarray(
            load_model(store, model).score(exam.user_idx)[:, exam.video_idx]
        )
        ranked = rank(scores, exam.candidates, max(exam.ks))
        check_lists(ranked, exam.candidates, ~np.isnan(scores), max(exam.ks), name)
        figures, facts = measure(exam, scores, ranked, exam.ks)
        drafts["per_user"].append(per_user_rows(figures, name, index))
        drafts["per_user"].facts |= facts
        for draft in drafts.values():
            draft.facts["protocol"] = protocol_of(tables["cells"]).model_dump(mode="json")
        parts = dissected(exam.of_test_users, scores[exam.is_test], users, videos, seed)
        for table, rows in parts.items():
            drafts[table].append(rows.select(pl.lit(name).alias("model"), pl.all()))

    return make(
        store,
        STAGE,
        ("per_user", "slices", "beyond"),
        build,
        parents={"model": model, **{table: tables[table] for table in parents}},
        found=code_of(known, name),
        config={"model": name},
        seed=seed,
    )


@step("leaderboard")
def rank_models(per_user: Mapping[str, ArtifactRef], seed: int, root: str) -> State[Refs]:
    """Compare all models on test users: ``leaderboard``, with their order by tune users.

    Stops a night whose figures cannot be: ProtocolError, EvaluationError.
    """
    store = Store(root)
    protocol = protocol_in(per_user)

    def build(drafts: dict[str, Draft]) -> None:
        figures = pl.concat([store.read(ref) for ref in per_user.values()])
        check_users(figures)
        leaderboard = leaderboard_of(figures, seed)
        check_oracle(leaderboard)
        check_random(figures, seed)
        models = tuple(name for name in per_user if name != ORACLE)
        drafts["leaderboard"].append(leaderboard)
        drafts["leaderboard"].facts["order_by_tune_users"] = order_models(figures, models)
        drafts["leaderboard"].facts["protocol"] = protocol.model_dump(mode="json")

    return make(
        store,
        STAGE,
        ("leaderboard",),
        build,
        parents=per_user,
        config={"models": list(per_user)},
        seed=seed,
    )
