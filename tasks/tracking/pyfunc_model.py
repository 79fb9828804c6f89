"""A trained model as MLflow serves it: user ids in, ranked videos out.

MLflow runs this file when it loads a model ("models from code"), so nothing is pickled. It runs it
when it logs one too, where the package that scores is not on the path yet: so that is imported by
those who need it. ``tasks.tracking.scoring_package`` follows these imports.
"""

from __future__ import annotations

from pathlib import Path
from typing import Any

import mlflow
import pandas as pd
from mlflow.exceptions import MlflowException
from mlflow.protos.databricks_pb2 import INVALID_PARAMETER_VALUE

DEFAULT_N = 10


class ServedModel(mlflow.pyfunc.PythonModel):  # type: ignore[misc]  # untyped to mypy
    """Answers with the n best unseen videos of each user."""

    def load_context(self, context: Any) -> None:
        """Load the model that the artefacts hold and the catalogue it was trained on."""
        from tasks.serving.packed_model import PackedModel

        name = context.model_config["model"]
        folders = (Path(context.artifacts[part]) for part in ("model", "catalogue"))
        self.packed = PackedModel.load(name, *folders)

    def predict(
        self, context: Any, model_input: pd.DataFrame, params: dict[str, Any] | None = None
    ) -> pd.DataFrame:
        """Rank videos for the users in column ``user_id``, in their order.

        Rows (user_id, rank, video_id, score, model). ``model`` says whose list it is: this one's,
        or, for users whom it does not know or cannot serve, that of what is popular, marked as
        ``recommend`` marks it. ``params``: ``n``, the length of a list, and ``candidates``,
        the ids of the videos that may be listed, all if empty. MlflowException, which MLflow's
        server answers with status 400 and the reason, for a request without users, unknown videos,
        and an ``n`` below 1.
        """
        from schemas.errors import ModelError

        del context  # loaded already
        asked = params or {}
        n, candidates = asked.get("n", DEFAULT_N), asked.get("candidates", [])  # a null n may pass
        try:
            return self.packed.lists(model_input["user_id"].to_numpy(), n, candidates).to_pandas()
        except ModelError as error:
            raise MlflowException(str(error), error_code=INVALID_PARAMETER_VALUE) from error


mlflow.models.set_model(ServedModel())
