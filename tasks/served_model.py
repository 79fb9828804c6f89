"""A trained model as MLflow serves it: user ids in, ranked videos out.

MLflow runs this file when it loads a model ("models from code"), so nothing is pickled.
"""

from __future__ import annotations

from pathlib import Path
from typing import Any

import mlflow
import pandas as pd

from schemas.errors import ModelError
from tasks.models.catalogue import Catalogue
from tasks.models.lists import top_lists
from tasks.models.registry import recommender_class

DEFAULT_N = 10


class ServedModel(mlflow.pyfunc.PythonModel):  # type: ignore[misc]  # untyped to mypy
    """Answers with the n best unseen videos of each user."""

    def load_context(self, context: Any) -> None:
        """Load the model that the artefacts hold and the catalogue it was trained on."""
        name = context.model_config["model"]
        self.model = recommender_class(name).load(Path(context.artifacts["model"]))
        self.catalogue = Catalogue.load(Path(context.artifacts["catalogue"]))

    def predict(
        self, context: Any, model_input: pd.DataFrame, params: dict[str, Any] | None = None
    ) -> pd.DataFrame:
        """Rank videos for the users in column ``user_id``: rows (user_id, rank, video_id, score).

        ``params``: ``n``, the length of a list. ModelError names users that the training did not
        know, and an ``n`` below 1.
        """
        del context  # loaded already
        n = int((params or {}).get("n", DEFAULT_N))
        if n < 1:
            raise ModelError(f"n must be 1 or more, not {n}")
        user_idx = self.catalogue.user_idx(model_input["user_id"].to_numpy())
        return top_lists(self.model, self.catalogue, user_idx, n).to_pandas()


mlflow.models.set_model(ServedModel())
