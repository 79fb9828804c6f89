"""Evaluation: one task a model on the fully observed block, then the leaderboard of all."""

from collections.abc import Mapping

import numpy as np
import polars as pl
from prefect.client.schemas import State

from schemas.artifacts import ArtifactRef, Known
from schemas.tables import CONTRACTS
from tasks.metrics.block import ORACLE, Exam, bounds, measure
from tasks.metrics.leaderboard import leaderboard_of, order_models
from tasks.steps import Refs, make, recipe, step
from tasks.store import Draft, Store
from tasks.train import code_of, load_model

STAGE = "evaluation"


def per_user_rows(figures: pl.DataFrame, model: str, user_index: pl.DataFrame) -> pl.DataFrame:
    """Name the figures of ``measure`` by model and user id: rows of ``per_user``."""
    return figures.join(user_index, on="user_idx", how="left", maintain_order="left").select(
        pl.lit(model).alias("model"), *list(CONTRACTS["per_user"].to_schema().columns)[1:]
    )


@step("frame")
def frame(tables: Mapping[str, ArtifactRef], root: str) -> State[Refs]:
    """Measure what frames all models on the exam: the oracle and the base rate."""
    store = Store(root)

    def build(drafts: dict[str, Draft]) -> None:
        figures = bounds(Exam.of(store.read(tables["cells"])))
        index = store.read(tables["user_index"])
        drafts["per_user"].append(per_user_rows(figures, ORACLE, index))

    how = recipe(
        STAGE,
        parents={name: tables[name] for name in ("cells", "user_index")},
        code=(Exam, bounds, per_user_rows, CONTRACTS["per_user"]),
        config={"model": ORACLE},
    )
    return make(store, how, ("per_user",), build)


@step("evaluate", "evaluate-{name}-{known.as_of}")
def evaluate(name: str, known: Known, root: str) -> State[Refs]:
    """Measure one model on the exam, user by user: ``per_user``."""
    store = Store(root)
    model, tables = known.models[name], known.tables

    def build(drafts: dict[str, Draft]) -> None:
        exam = Exam.of(store.read(tables["cells"]))
        scores = load_model(store, model).score(exam.user_idx)[:, exam.video_idx]
        figures, facts = measure(exam, np.ascontiguousarray(scores))
        index = store.read(tables["user_index"])
        drafts["per_user"].append(per_user_rows(figures, name, index))
        drafts["per_user"].facts |= facts

    how = recipe(
        STAGE,
        parents={"model": model, "cells": tables["cells"], "user_index": tables["user_index"]},
        code=(*code_of(known, name), Exam, measure, per_user_rows, CONTRACTS["per_user"]),
        config={"model": name},
    )
    return make(store, how, ("per_user",), build)


@step("leaderboard")
def rank_models(per_user: Mapping[str, ArtifactRef], seed: int, root: str) -> State[Refs]:
    """Compare all models on test users: ``leaderboard``, with their order by tune users."""
    store = Store(root)

    def build(drafts: dict[str, Draft]) -> None:
        figures = pl.concat([store.read(ref) for ref in per_user.values()])
        drafts["leaderboard"].append(leaderboard_of(figures, seed))
        models = tuple(name for name in per_user if name != ORACLE)
        drafts["leaderboard"].facts["order_by_tune_users"] = order_models(figures, models)

    how = recipe(
        STAGE,
        parents=per_user,
        code=(leaderboard_of, order_models, CONTRACTS["leaderboard"]),
        config={"models": list(per_user)},
        seed=seed,
    )
    return make(store, how, ("leaderboard",), build)
