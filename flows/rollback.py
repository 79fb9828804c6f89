"""Makes the previous champion the champion again."""

from flows.failures import one_line
from flows.parameters import flags
from flows.terminal import say
from schemas.config import RollbackConfig
from tasks.champions import roll_back
from tasks.runs import reachable

PROG = "python -m flows.rollback"


def main() -> None:
    """Swap the champion and the one before it, and say so."""
    config = flags(RollbackConfig, PROG)
    with one_line(PROG, config.root):
        with reachable(config.tracking_address) as client:
            former, now = roll_back(client, config.registered_model)
        say(f"{config.registered_model}: version {now} is the champion again, {former} is kept")


if __name__ == "__main__":
    main()
