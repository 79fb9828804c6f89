"""Says whether a night is overdue or the champion too old; for cron, or any other scheduler."""

from collections.abc import Iterator
from datetime import UTC, datetime

from schemas.alert_settings import OverdueConfig
from schemas.errors import ConfigError
from schemas.paths import sqlite_file
from tasks.alerts.alert import Alert, aged, last_night, overdue, tell
from tasks.artifacts.backend import backend_of


def late(config: OverdueConfig, now: datetime) -> list[str]:
    """Tell of what is late at an instant; return what it is, in words, nothing if all is well."""
    begun = last_night(backend_of(config.root))
    found = overdue(begun, now, config.max_night_hours, config.root)
    found += [*_old_champion(config, now)]
    tell(config.root, found)
    return [alert.text for alert in found]


def _old_champion(config: OverdueConfig, now: datetime) -> Iterator[Alert]:
    file = sqlite_file(config.tracking_address)
    if file is not None and not file.is_file():
        return  # no night has run yet: asking would create an empty database
    from tasks.promotion.model_registry import CHAMPION, default_name, version_at
    from tasks.tracking.night_run import reachable

    with reachable(config.tracking_address) as client:
        try:
            name = config.registered_model or default_name(client, CHAMPION)
        except ConfigError:
            return  # nobody is champion yet
        version = version_at(client, name, CHAMPION)
        if version is not None:
            made = datetime.fromtimestamp(version.creation_timestamp / 1000, UTC).date()
            limit = config.max_champion_age_days
            yield from aged(name, str(version.version), made, now.date(), limit)
