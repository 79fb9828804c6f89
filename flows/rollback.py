"""Makes the previous champion the champion again."""

from flows.parameters import fail, flags
from schemas.config import RollbackConfig
from schemas.errors import GrailError
from tasks.champions import roll_back
from tasks.runs import reachable

PROG = "python -m flows.rollback"


def main() -> None:
    """Swap the champion and the one before it, and say so."""
    config = flags(RollbackConfig, PROG)
    try:
        with reachable(config.tracking_address) as client:
            former, now = roll_back(client, config.registered_model)
    except GrailError as error:
        fail(PROG, str(error), code=1)
    print(f"{config.registered_model}: version {now} is the champion again, {former} is kept")


if __name__ == "__main__":
    main()
