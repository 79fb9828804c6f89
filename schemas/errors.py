"""Every error a person can cause, in one tree.

Each message names the thing, the place and the cure. Errors of the programmer (a wrong type, a
broken invariant) are ordinary Python errors and do not belong here.
"""


class GrailError(Exception):
    """Base of all errors that a wrong input, setting or environment can cause."""


class ConfigError(GrailError):
    """A flag, parameter or combination of them that cannot be run."""


class SourceError(GrailError):
    """The raw files cannot be found, fetched or unpacked."""


class ContractError(GrailError):
    """Data breaks the contract of its table: columns, types, values, or too many rejects."""


class LeakageError(GrailError):
    """Something the evaluation asks about was also there to learn from."""


class StoreError(GrailError):
    """The artefact root cannot be written, or an artefact is missing, damaged or foreign."""


class RootUnavailableError(StoreError):
    """A root cannot be asked at all: its store, or the keys for it, must be mended first."""


class IntegrityError(GrailError):
    """Something under a root is damaged, missing or orphaned."""


class ModelError(GrailError):
    """A model cannot be fitted, loaded or asked as requested."""


class TuningError(GrailError):
    """Settings cannot be searched: there is nothing to choose them by."""


class EvaluationError(GrailError):
    """Figures that cannot be true: the measuring is broken, whatever the models are worth."""


class ProtocolError(GrailError):
    """Figures that were measured in different ways and must not be compared."""


class MonitoringAlertError(GrailError):
    """A night is past a threshold of the monitoring, and was told to stop there."""


class AlertError(GrailError):
    """A message could not be sent; what it tells of is not changed by that."""


class TaskTimeoutError(GrailError, TimeoutError):
    """A task took longer than it may."""


class IncompleteNightError(GrailError):
    """Some models of a night failed; all the others are made, measured and kept."""


class RunnerError(GrailError):
    """What is to run the tasks is not there, cannot be reached, or is not as it must be."""


class WorkerLostError(GrailError):
    """A task was given up, as the workers that ran it ended."""


class BackfillError(GrailError):
    """Some nights of a backfill failed; the others are kept."""


class TrackingError(GrailError):
    """MLflow cannot be reached or refused what it was sent."""


class UnreachableError(TrackingError):
    """MLflow cannot be reached now; another try may do."""


class ServerError(GrailError):
    """A server cannot be started, does not answer, or ended by itself."""
