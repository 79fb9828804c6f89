"""What a live test of the night's model would show, as a table: simulated, see ``ab_test``."""

from datetime import date

from schemas.choice import Choice
from schemas.protocol import Protocol
from tasks.artifacts.inputs import Inputs, Outputs
from tasks.artifacts.table_task import table_task
from tasks.evaluation.task import STAGE, rivals, state_protocol
from tasks.features.cutoff import before
from tasks.features.log_days import activity_of_users
from tasks.metrics.ab_test import live_test_of, spread
from tasks.metrics.eval_set import ORACLE
from tasks.metrics.labels import PRIMARY


@table_task(
    stage=STAGE,
    reads=("leaderboard", "interactions", "list_shares/*"),
    writes=("live_test",),
)
def simulate_live_test(inputs: Inputs, out: Outputs, *, seed: int, as_of: date) -> None:
    """Simulate the chosen model against popularity, and against the best single model."""
    metadata, lists = inputs["leaderboard"].metadata, inputs.group("list_shares")
    model = Choice.model_validate(metadata["choice"]).model
    others = [
        name
        for name in rivals(metadata["order_by_validation_users"])
        if name in lists and name != model
    ]
    rows = {name: inputs.store.read(lists[name]) for name in (model, *others)}
    log = inputs.scan("interactions").filter(before(as_of))
    user_ids = rows[model]["user_id"].unique(maintain_order=True)
    activity = activity_of_users(log, user_ids).to_numpy()
    board = inputs.read("leaderboard").filter(model=ORACLE, label=PRIMARY, metric="base_rate")
    shares = {name: spread(of_model) for name, of_model in rows.items()}
    base_rate = board["mean"].item()
    out["live_test"].append(live_test_of(shares, model, activity, base_rate, seed))
    state_protocol(out, Protocol.model_validate(metadata["protocol"]))
