"""A trained model as MLflow serves it: user ids in, ranked videos out.

MLflow runs this file when it loads a model ("models from code"), so nothing is pickled.
"""

from __future__ import annotations

from pathlib import Path
from typing import Any

import mlflow
import numpy as np
import pandas as pd
import polars as pl
from mlflow.exceptions import MlflowException
from mlflow.protos.databricks_pb2 import INVALID_PARAMETER_VALUE

from schemas.errors import ModelError
from tasks.models.catalogue import Catalogue
from tasks.models.lookup import recommender_class
from tasks.models.popularity_fallback import fallback_of
from tasks.serving.top_n import lists_for_all

DEFAULT_N = 10


class ServedModel(mlflow.pyfunc.PythonModel):  # type: ignore[misc]  # untyped to mypy
    """Answers with the n best unseen videos of each user."""

    def load_context(self, context: Any) -> None:
        """Load the model that the artefacts hold and the catalogue it was trained on."""
        name = context.model_config["model"]
        self.model = recommender_class(name).load(Path(context.artifacts["model"]))
        self.fallback = fallback_of(self.model)
        self.catalogue = Catalogue.load(Path(context.artifacts["catalogue"]))

    def predict(
        self, context: Any, model_input: pd.DataFrame, params: dict[str, Any] | None = None
    ) -> pd.DataFrame:
        """Rank videos for the users in column ``user_id``, in their order.

        Rows (user_id, rank, video_id, score, model). ``model`` says whose list it is: this one's,
        or, for users whom it does not know or cannot serve, that of what is popular, marked as
        ``flows.recommend`` marks it. ``params``: ``n``, the length of a list, and ``candidates``,
        the ids of the videos that may be listed, all if empty. MlflowException, which MLflow's
        server answers with status 400 and the reason, for a request without users, unknown videos,
        and an ``n`` below 1.
        """
        del context  # loaded already
        try:
            return self._lists(model_input["user_id"].to_numpy(), params or {}).to_pandas()
        except ModelError as error:
            raise MlflowException(str(error), error_code=INVALID_PARAMETER_VALUE) from error

    def _lists(self, user_ids: Any, params: dict[str, Any]) -> pl.DataFrame:
        n = params.get("n", DEFAULT_N)
        if n is None or n < 1:  # MLflow lets a null pass
            raise ModelError(f"n must be 1 or more, not {n}")
        if not len(user_ids):
            raise ModelError("no users: give at least one user_id")
        candidates = np.asarray(params.get("candidates", []), dtype=np.int64)
        among = self.catalogue.among(candidates) if candidates.size else None
        # No list is longer than the catalogue, and each place asked for takes memory
        n = min(int(n), len(self.catalogue.video_ids))
        lists = lists_for_all(self.model, self.fallback, self.catalogue, user_ids, n, among)
        return pl.concat(lists)


mlflow.models.set_model(ServedModel())
