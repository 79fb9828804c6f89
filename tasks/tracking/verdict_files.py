"""A night's verdict as files of its run: every table as MLflow shows one, and the pictures.

They go to MLflow in one step. Its own ``log_table`` lists what is there, reads the run and writes a
tag again for each table, which behind a server is four requests.
"""

from __future__ import annotations

import json
import tempfile
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import polars as pl
from mlflow import MlflowClient
from mlflow.utils.mlflow_tags import MLFLOW_LOGGED_ARTIFACTS

from tasks.figures.night_plots import night_figures
from tasks.figures.plot_style import save

AS_SHOWN: dict[str, Any] = {"orient": "split", "index": False, "date_format": "iso"}
"""How MLflow's ``log_table`` writes a frame."""


def log_verdict(
    client: MlflowClient,
    run_id: str,
    tables: Mapping[str, pl.DataFrame],
    board: pl.DataFrame,
    title: str,
) -> None:
    """Log the tables of a verdict (``EvaluationFrames.tables``), the board and their pictures.

    The board, a row a model, is the run's ``leaderboard.json``; the table of that name, with a row
    for each label, metric and k, is beside it.
    """
    shown = {**tables, "leaderboard": board, "leaderboard_of_all_labels": tables["leaderboard"]}
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        for picture, figure in night_figures(tables, title).items():
            save(figure, folder / picture)
        for table, rows in shown.items():
            rows.to_pandas().to_json(folder / f"{table}.json", **AS_SHOWN)
        client.log_artifacts(run_id, name)
    # By this tag MLflow's pages and load_table find them
    listed = [{"path": f"{table}.json", "type": "table"} for table in shown]
    client.set_tag(run_id, MLFLOW_LOGGED_ARTIFACTS, json.dumps(listed))
