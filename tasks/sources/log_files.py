"""The log as files by day, in place of one: a folder ``big_matrix``, or ``big_matrix*`` files.

Not here: what is in them (``tasks.ingest``).
"""

from pathlib import Path

from schemas.errors import SourceError
from schemas.raw_files import RAW_FILES

LOG = "interactions"
STEM = Path(RAW_FILES[LOG].file_name).stem
KINDS = (".csv", ".csv.gz", ".parquet")


def log_parts(data: Path) -> tuple[Path, ...]:
    """Return the files of the log in a data folder, by name; none where it is one file.

    Hidden ones, and those that begin with ``_``, are of whoever writes the folder.

    Raises:
        SourceError: two forms of the log are there, the folder is empty, or holds something else.
    """
    folder, whole = data / STEM, data / RAW_FILES[LOG].file_name
    beside = [file for file in data.glob(f"{STEM}?*") if file != whole and _is_part(file)]
    forms = [
        *([whole.name] if whole.is_file() else []),
        *([f"{STEM}/"] if folder.is_dir() else []),
        *([min(beside).name] if beside else []),
    ]
    if len(forms) > 1:
        raise SourceError(
            f"{data} holds the log more than once: {', '.join(forms)}. Keep one of them: one file,"
            " a folder of files by day, or files by day beside the others"
        )
    return tuple(sorted(_in_folder(folder) if folder.is_dir() else beside))


def _in_folder(folder: Path) -> list[Path]:
    found = [file for file in folder.iterdir() if not file.name.startswith((".", "_"))]
    odd = sorted(file.name for file in found if not _is_part(file))
    if odd:
        raise SourceError(
            f"{folder} holds {odd[0]!r}, which is no file of the log: there may be files that end"
            f" in {', '.join(KINDS)}. Move it elsewhere"
        )
    if not found:
        raise SourceError(f"{folder} is empty: expected files of the log, one a day, say")
    return found


def _is_part(file: Path) -> bool:
    return file.name.endswith(KINDS) and file.is_file()
