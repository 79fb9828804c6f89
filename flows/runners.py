"""Task runners by the name that ``--runner`` has for them."""

from typing import Any

from prefect.task_runners import TaskRunner, ThreadPoolTaskRunner


def threads() -> TaskRunner[Any]:
    """Run tasks in threads of the flow's process, as many at a time as there are cores.

    Prefect's setting PREFECT_TASKS_RUNNER_THREAD_POOL_MAX_WORKERS says otherwise.
    """
    return ThreadPoolTaskRunner()
