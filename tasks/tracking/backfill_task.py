"""A backfill in MLflow: one run with the staleness of every model, logged once."""

from __future__ import annotations

from typing import TYPE_CHECKING

import polars as pl
from prefect.client.schemas import State

from schemas.artifacts import ArtifactRef
from schemas.errors import UnreachableError
from schemas.settings import BackfillConfig
from tasks.artifacts.plain_task import finished, plain_task
from tasks.artifacts.store import Store
from tasks.sources.task import RawData
from tasks.tracking.names import BACKFILL, CLAIM
from tasks.tracking.task import origin_tags

if TYPE_CHECKING:  # MLflow takes seconds to import
    from mlflow import MlflowClient
    from mlflow.entities import Metric


@plain_task(retry_on=UnreachableError)
def track_backfill(
    config: BackfillConfig, raw: RawData, first: str, staleness: ArtifactRef
) -> State[str]:
    """Log what old models are worth unless it is there already; return the run's id.

    ``first`` is the model in front of the picture.
    """
    from tasks.tracking.night_run import experiment_id, reachable
    from tasks.tracking.unfinished_runs import end_unfinished

    store = Store(config.root)
    table = store.read(staleness)
    with store.turn("tracking"), reachable(config.tracking_address) as client:
        experiment = experiment_id(client, is_demo=raw.is_demo, artifacts=config.artifact_location)
        end_unfinished(client, experiment)
        found = client.search_runs(
            [experiment],
            f"tags.`{BACKFILL}` = '{staleness.content}' and attributes.status = 'FINISHED'",
        )
        run_id = (
            str(found[0].info.run_id)
            if found
            else _log(client, experiment, config, raw.source, first, staleness.content, table)
        )
    return finished(run_id, was_there=bool(found), message=f"MLflow run {run_id}")


def _log(
    client: MlflowClient,
    experiment: str,
    config: BackfillConfig,
    source: str,
    first: str,
    content: str,
    table: pl.DataFrame,
) -> str:
    import mlflow

    from tasks.figures.plot_model_age import staleness_figure
    from tasks.tracking.claims import claim

    mlflow.set_experiment(experiment_id=experiment)
    tags = {BACKFILL: content, CLAIM: claim(), "grail.source": source, **origin_tags()}
    words = (
        f"{source}: what is lost in NDCG@10 with models some days old, against models trained on"
        " the very day, on the block and on what users were shown next. The step of a metric is"
        " the age in days."
    )
    with mlflow.start_run(run_name=f"backfill {source}", tags=tags, description=words) as run:
        mlflow.log_params(
            config.model_dump(mode="json", include={"from_day", "to_day", "every_days", "seed"})
        )
        client.log_batch(run.info.run_id, metrics=_metrics(table))
        mlflow.log_figure(staleness_figure(table, source, first), "staleness.png")
        mlflow.log_table(table.to_pandas(), "staleness.json")
    return str(run.info.run_id)


def _metrics(table: pl.DataFrame) -> list[Metric]:
    """Return what is lost by model and bed, with the age in days as the step."""
    from tasks.tracking.metric_points import metric_point

    return [
        metric_point(
            f"{row['test_set']}_lost_ndcg_at_10_{row['model']}", -row["difference"], row["days_old"]
        )
        for row in table.iter_rows(named=True)
    ]
