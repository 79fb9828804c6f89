"""Small raw files broken in every way that people's files are, and what must come of each.

``python -m tests.mutations`` writes what comes of them today to ``docs/mutations.md``; a test holds
that page to the truth.
"""

from __future__ import annotations

import csv
import io
import tempfile
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from pathlib import Path

import polars as pl

from schemas.errors import ContractError
from schemas.raw_files import RAW_FILES
from tasks.ingest.reader import Counts
from tasks.ingest.task import ingested
from tests.raw_files import LATEST

PAGE = Path(__file__).parents[1] / "docs" / "mutations.md"
ROWS = 10
THIRD = 3
"""The row that is changed where one is."""
SAME = "same rows"
ONE = "1 reject"
MANY = "refused: rows are rejected"

Row = dict[str, str]
Lines = list[list[str]]
Expected = str | dict[str, str]


@dataclass(frozen=True)
class Mutation:
    """A way to break a file. ``expected``: the outcome, by table where they differ ("": others)."""

    kind: str
    change: Callable[[str, str], bytes]
    """From table and text to the bytes of the broken file."""
    expected: Expected
    tables: tuple[str, ...] = tuple(RAW_FILES)

    def outcome_for(self, table: str) -> str:
        if isinstance(self.expected, str):
            return self.expected
        return self.expected.get(table, self.expected.get("", ""))


def good_rows(table: str) -> list[Row]:
    """Ten good rows: keys 0 to 9, every tenth thing that may be absent, absent."""
    return [_good_row(table, n) for n in range(ROWS)]


def _good_row(table: str, n: int) -> Row:
    moment = datetime(2020, 7, 5, 8, 0, tzinfo=UTC) + timedelta(hours=7 * n, milliseconds=n)
    shown = (moment + timedelta(hours=8)).replace(tzinfo=None)
    has_time = table == "interactions" or n < 6
    suffix = ".0" if table == "small_matrix" else ""
    event = {
        "user_id": str(n),
        "video_id": str(n),
        "play_duration": str(500 + n),
        "video_duration": "1000",
        "time": shown.isoformat(" ", "milliseconds") if has_time else "",
        "date": f"{shown:%Y%m%d}{suffix}" if has_time else "",
        "timestamp": f"{moment.timestamp():.3f}" if has_time else "",
        "watch_ratio": str((500 + n) / 1000),
    }
    named: dict[str, Row] = {
        "interactions": event,
        "small_matrix": event,
        "users": {"user_id": str(n), "is_live_streamer": "0", "follow_user_num_range": "(0,10]"}
        | {"register_days": str(100 + n), "onehot_feat4": "" if n == 9 else f"{n}.0"},
        "video_tags": {"video_id": str(n), "feat": "[27, 9]" if n % 2 else "[8]"},
        "video_daily_stats": {"video_id": str(n), "date": "20200705", "upload_dt": "2020-07-01"}
        | {"author_id": str(n), "play_cnt": str(n * 100), "play_progress": "0.5"},
        "friends": {"user_id": str(n), "friend_list": "[4202, 7126]"},
        "captions": {"video_id": str(n), "caption": f"晚饭, 第{n}天", "topic_tag": "[]"}
        | {"first_level_category_id": "8", "first_level_category_name": "颜值"},
    }
    return {column: named[table].get(column, "") for column in RAW_FILES[table].columns}


def as_lines(table: str, rows: list[Row]) -> Lines:
    return [list(RAW_FILES[table].columns), *(list(row.values()) for row in rows)]


def written(
    lines: Lines, end: str = "\n", quoting: int = csv.QUOTE_MINIMAL, comma: str = ","
) -> str:
    out = io.StringIO()
    writer = csv.writer(out, quoting=quoting, lineterminator=end, delimiter=comma)  # type: ignore[arg-type]
    writer.writerows(lines)
    return out.getvalue()


def parsed(text: str) -> Lines:
    return list(csv.reader(io.StringIO(text, newline="")))


def good_text(table: str) -> str:
    return written(as_lines(table, good_rows(table)))


# --- ways to break a file ---------------------------------------------------------------------


def whole(change: Callable[[str], str | bytes]) -> Callable[[str, str], bytes]:
    """Change the text as a whole."""

    def apply(_: str, text: str) -> bytes:
        changed = change(text)
        return changed if isinstance(changed, bytes) else changed.encode()

    return apply


def header(change: Callable[[list[str]], list[str]]) -> Callable[[str, str], bytes]:
    """Change the names in the header, as they stand in the file."""

    def apply(text: str) -> str:
        names, rest = text.split("\n", 1)
        return ",".join(change(names.split(","))) + "\n" + rest

    return whole(apply)


def lines(change: Callable[[Lines], Lines], **how: object) -> Callable[[str, str], bytes]:
    """Change the parsed lines, the header first, and write them in another way."""
    return whole(lambda text: written(change(parsed(text)), **how))  # type: ignore[arg-type]


def raw_line(change: Callable[[str], str]) -> Callable[[str, str], bytes]:
    """Change the third row as it stands in the file."""

    def apply(text: str) -> str:
        each = text.split("\n")
        each[THIRD] = change(each[THIRD])
        return "\n".join(each)

    return whole(apply)


def key(value: str) -> Callable[[str, str], bytes]:
    """Put ``value``, as it is, where the key of the third row stands."""
    return raw_line(lambda line: value + line[line.index(",") :])


def field(column: str, value: str) -> Callable[[str, str], bytes]:
    """Put ``value`` into a column of the third row."""

    def apply(each: Lines) -> Lines:
        each[THIRD][each[0].index(column)] = value
        return each

    return lines(apply)


def column(name: str, change: Callable[[str], str]) -> Callable[[str, str], bytes]:
    """Change a column of every row."""

    def apply(each: Lines) -> Lines:
        at = each[0].index(name)
        return [each[0], *([*r[:at], change(r[at]), *r[at + 1 :]] for r in each[1:])]

    return lines(apply)


def nulls(word: str) -> Callable[[str, str], bytes]:
    """Write ``word`` wherever nothing stands, as some programs do."""
    return lines(lambda each: [each[0], *([f or word for f in row] for row in each[1:])])


def _another(table: str, text: str) -> bytes:
    """Add a row with the key of the third and something else in it."""
    each = parsed(text)
    column, value = {
        "interactions": ("watch_ratio", "0.5021"),
        "small_matrix": ("watch_ratio", "0.5021"),
        "users": ("register_days", "999"),
        "video_tags": ("feat", "[30]"),
        "video_daily_stats": ("play_cnt", "999"),
        "friends": ("friend_list", "[9999]"),
        "captions": ("caption", "龙"),
    }[table]
    other = list(each[THIRD])
    other[each[0].index(column)] = value
    return written([*each, other]).encode()


def _bad_byte(_: str, text: str) -> bytes:
    each = text.encode().split(b"\n")
    each[THIRD] += b"\xff"
    return b"\n".join(each)


EVENTS = ("interactions", "small_matrix")
PLAIN = {table for table, raw in RAW_FILES.items() if not raw.is_quoted}
QUOTE = "refused: broken quote"


def unquoted(plain: str, others: str) -> dict[str, str]:
    """Expect ``plain`` of files without quotes, and ``others`` of those that may have some."""
    return dict.fromkeys(PLAIN, plain) | {"": others}


WAYS = [
    Mutation("nothing at all", whole(lambda t: t), SAME),
    Mutation("byte order mark", whole(lambda t: "\ufeff" + t), SAME),
    Mutation("CRLF line ends", lines(lambda e: e, end="\r\n"), SAME),
    Mutation("no line end at the end", whole(lambda t: t.rstrip("\n")), SAME),
    Mutation("a blank line at the end", whole(lambda t: t + "\n"), SAME),
    Mutation("many blank lines at the end", whole(lambda t: t + "\r\n\n" * 9), SAME),
    Mutation("header in quotes", header(lambda names: [f'"{name}"' for name in names]), SAME),
    Mutation("every field in quotes", lines(lambda e: e, quoting=csv.QUOTE_ALL), SAME),
    Mutation(
        "every field in quotes, CRLF", lines(lambda e: e, quoting=csv.QUOTE_ALL, end="\r\n"), SAME
    ),
    Mutation("columns in another order", lines(lambda e: [row[::-1] for row in e]), SAME),
    Mutation("rows in another order", lines(lambda e: [e[0], *e[:0:-1]]), SAME),
    Mutation("None for nothing", nulls("None"), SAME),
    Mutation("NaN for nothing", nulls("NaN"), SAME),
    Mutation("NA for nothing", nulls("NA"), SAME),
    Mutation("null for nothing", nulls("null"), SAME),
    Mutation("every row twice", lines(lambda e: [e[0], *e[1:], *e[1:]]), "10 duplicates"),
    Mutation("a row twice", lines(lambda e: [*e, e[THIRD]]), "1 duplicate"),
    Mutation("another row for a key", _another, ONE),
    Mutation("header again as a row", lines(lambda e: [e[0], *e]), ONE),
    Mutation("a blank line in the middle", raw_line(lambda line: line + "\n"), ONE),
    Mutation("a field too many", raw_line(lambda line: line + ",7"), ONE),
    Mutation("an empty field too many", raw_line(lambda line: line + ","), unquoted(SAME, ONE)),
    Mutation("a row of its key alone", raw_line(lambda line: line.split(",")[0]), ONE),
    Mutation("a row of commas", raw_line(lambda line: "," * 9), ONE),
    Mutation("a row of spaces", raw_line(lambda line: "   "), ONE),
    Mutation(
        "cut in the last row", whole(lambda t: t[: t.index(",", t.rstrip().rindex("\n"))]), ONE
    ),
    Mutation("half the file, cut in a row", lines(lambda e: [*e[:6], e[6][:1]]), ONE),
    Mutation(
        "zeros for the last row",
        whole(lambda t: t[: t.rstrip().rindex("\n") + 1] + "\0" * 4096),
        ONE,
    ),
    Mutation("key: text", key("x"), ONE),
    Mutation("key: negative", key("-1"), ONE),
    Mutation("key: nothing", key(""), ONE),
    Mutation("key: NaN", key("NaN"), ONE),
    Mutation("key: 2.0", key("2.0"), ONE),
    Mutation("key: 2e0", key("2e0"), ONE),
    Mutation("key: beyond 32 bits", key("2147483648"), ONE),
    Mutation("key: beyond 64 bits", key("9" * 30), ONE),
    Mutation("key: a space before it", key(" 2"), ONE),
    Mutation("key: full-width digit", key("\uff12"), ONE),
    Mutation("key: underscore", key("1_0"), ONE),
    Mutation("key: terminal sequence", key("\x1b]0;owned\x07"), ONE),
    Mutation("key: 100,000 characters", key("7" * 100_000), ONE),
    Mutation("key: opens a quote", key('"2'), unquoted(ONE, QUOTE)),
    Mutation("key: closes a quote", key('2"'), unquoted(ONE, "refused: no readable CSV")),
    Mutation("key in quotes", key('"2"'), unquoted(ONE, SAME)),
    Mutation("a byte that is no UTF-8", _bad_byte, "refused: not UTF-8"),
    Mutation("UTF-16", whole(lambda t: t.encode("utf-16")), "refused: is in UTF-16"),
    Mutation(
        "UTF-16 without its mark", whole(lambda t: t.encode("utf-16-le")), "refused: is in UTF-16"
    ),
    Mutation("UTF-32", whole(lambda t: t.encode("utf-32")), "refused: is in UTF-32"),
    Mutation("GBK", whole(lambda t: t.encode("gbk")), {"captions": "refused: is in GBK", "": SAME}),
    Mutation(
        "carriage returns for line ends",
        whole(lambda t: t.replace("\n", "\r")),
        "refused: carriage return alone",
    ),
    Mutation("semicolons", lines(lambda e: e, comma=";"), "refused: parted by ';'"),
    Mutation("tabs", lines(lambda e: e, comma="\t"), "refused: parted by '\\t'"),
    Mutation(
        "a comma at the end of every line",
        whole(lambda t: t.replace("\n", ",\n")),
        "refused: end in a comma",
    ),
    Mutation(
        "a comma at the end of every row",
        whole(lambda t: t.replace("\n", ",\n").replace(",\n", "\n", 1)),
        unquoted(SAME, MANY),
    ),
    Mutation("nothing", whole(lambda t: ""), "refused: is empty"),
    Mutation("header alone", whole(lambda t: t.split("\n")[0] + "\n"), "refused: no good row"),
    Mutation("no header", whole(lambda t: t.split("\n", 1)[1]), "refused: missing columns"),
    Mutation(
        "a blank line before the header", whole(lambda t: "\n" + t), "refused: line 1 is blank"
    ),
    Mutation("zeros throughout", whole(lambda t: bytes(190_000)), "refused: begins with zeros"),
    Mutation(
        "a web page",
        whole(lambda t: "<html>\n<body>Please log in</body>"),
        "refused: missing columns",
    ),
    Mutation("a column gone", lines(lambda e: [row[:-1] for row in e]), "refused: missing columns"),
    Mutation(
        "a column more", lines(lambda e: [[*row, "x"] for row in e]), "refused: unknown columns"
    ),
    Mutation(
        "a column twice",
        lines(lambda e: [[*row, row[-1]] for row in e]),
        "refused: doubled columns",
    ),
    Mutation(
        "spaces in the header",
        header(lambda names: [f" {n}" for n in names]),
        "refused: without spaces",
    ),
    Mutation(
        "header in capitals",
        header(lambda names: [n.upper() for n in names]),
        "refused: in lower case",
    ),
]
"""What can happen to any file."""

CLOCKS = [
    Mutation(f"{name}: {value or 'nothing'}", field(name, value), expected, EVENTS)
    for name, value, expected in [
        ("timestamp", "", ONE),
        ("timestamp", "1.59394E+09", ONE),
        ("timestamp", "2147483647", ONE),
        ("timestamp", "4102358400", ONE),
        ("timestamp", "946684799", ONE),
        ("timestamp", "1593986400002", ONE),
        ("timestamp", "nan", ONE),
        ("timestamp", "2020-07-05", ONE),
        ("time", "2020-07-05 14:00:00.002", ONE),
        ("time", "2020-07-06 14:00:00.002", ONE),
        ("time", "2038-01-19 03:14:07.000", ONE),
        ("time", "2020/07/06 06:00:00", ONE),
        ("time", "06:00.0", ONE),
        ("time", "2020-07-06 06:00:00", SAME),
        ("date", "20200705", SAME),
        ("date", "20200706.0", SAME),
        ("date", "20200710", ONE),
        ("date", "20990705", ONE),
        ("date", "2020-07-06", ONE),
        ("play_duration", "-5", ONE),
        ("play_duration", "500.5", ONE),
        ("play_duration", str(2**31), ONE),
        ("video_duration", "0", ONE),
        ("watch_ratio", "inf", ONE),
        ("watch_ratio", "0,502", ONE),
        ("watch_ratio", "0.75", ONE),
        ("watch_ratio", "-0.502", ONE),
    ]
]
SHIFTS = [
    Mutation(
        "all times in UTC", column("time", lambda t: t and t[:11] + "00:00:00.000"), MANY, EVENTS
    ),
    Mutation(
        "all timestamps rounded to 10,000 s",
        column("timestamp", lambda t: t and f"{float(t):.5E}"),
        MANY,
        EVENTS,
    ),
]


def _fields(table: str, name: str, good: str, bad: str) -> Iterator[Mutation]:
    for expected, values in ((SAME, good), (ONE, bad)):
        for value in values.split():
            yield Mutation(f"{name}: {value}", field(name, value), expected, (table,))


FIELDS = [
    *_fields("users", "is_live_streamer", "0", "2 true -1 00"),
    *_fields("users", "register_days", "102 102.0", "x -1 1e3 9999999999"),
    *_fields("video_tags", "feat", "[8] [8,8]", "8 [8 8] [8.0] [null] [[8]] [99999] [08]"),
    *_fields("friends", "friend_list", "[4202,7126]", "4202 [4202 [1.5] [-1] [4294967296]"),
    *_fields(
        "video_daily_stats", "date", "20200705", "20200230 2020-07-05 19991231 20991231 20200705.0"
    ),
    *_fields(
        "video_daily_stats", "upload_dt", "2020-07-01", "20200701 2020-7-1 2038-01-19 1969-12-31"
    ),
    *_fields(
        "video_daily_stats", "play_cnt", "200 200.0", f"{2**63 - 1} {2**63} 1000000000001 -1 1.5 x"
    ),
    *_fields("video_daily_stats", "play_progress", "0.5 0.50", "-0.5 inf x"),
    *_fields("captions", "first_level_category_id", "8 8.0", "x -1 颜值 1.5"),
]
MUTATIONS = [*WAYS, *CLOCKS, *SHIFTS, *FIELDS]


# --- what comes of it --------------------------------------------------------------------------


@dataclass(frozen=True)
class Result:
    """What ingest made of a file: its rows, or its error."""

    kept: pl.DataFrame | None
    counts: Counts
    error: str = ""


def ingest_bytes(content: bytes, table: str) -> Result:
    """Ingest a file of ``table`` with these bytes; up to half of its rows may be rejected."""
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder) / RAW_FILES[table].file_name
        path.write_bytes(content)
        (Path(folder) / "scratch").mkdir()
        counts, kept = Counts(), []
        try:
            for piece in ingested(path, table, Path(folder) / "scratch", 0.5, LATEST):
                counts.add(piece.counts)
                kept.append(piece.kept)
        except ContractError as error:
            return Result(None, counts, str(error))
        return Result(pl.concat(kept), counts)


def outcome(result: Result, expected: str, good: pl.DataFrame) -> str:
    """Say in a few words what came of a file, in those of ``expected`` where it is refused."""
    if result.kept is None:
        phrase = expected.removeprefix("refused: ")
        return expected if phrase in result.error else f"refused: {result.error}"
    counts = result.counts
    counts.balance("a mutated file")
    duplicates = counts.duplicates_exact + counts.duplicates_across_partitions
    if counts.rejected:
        rows = good.rows()
        if not all(row in rows for row in result.kept.rows()):
            return "other rows"
        return f"{counts.rejected} reject" + "s" * (counts.rejected > 1)
    if not result.kept.equals(good):
        return "other rows"
    return f"{duplicates} duplicate" + "s" * (duplicates > 1) if duplicates else SAME


def outcomes() -> dict[tuple[str, str], tuple[str, Result]]:
    """Return, by kind and table, what came of each mutant, in words and in full."""
    texts = {table: good_text(table) for table in RAW_FILES}
    good = {table: ingest_bytes(text.encode(), table).kept for table, text in texts.items()}
    found: dict[tuple[str, str], tuple[str, Result]] = {}
    for mutation in MUTATIONS:
        for table in mutation.tables:
            result = ingest_bytes(mutation.change(table, texts[table]), table)
            said = outcome(result, mutation.outcome_for(table), good[table])  # type: ignore[arg-type]
            found[mutation.kind, table] = said, result
    return found


INTRODUCTION = (
    "{mutants} mutants of small good files of {rows} rows, each with its outcome: the same table,"
    " rejects or duplicates that are counted (and the other rows as they were), or a refusal in one"
    " line with these words in it. In the two matrices an empty field too many is no loss and is"
    " passed over. Made and compared by `tests/unit/ingest/test_mutated_files.py`; written by"
    " `python -m tests.mutations`."
)


def page(found: dict[tuple[str, str], str]) -> str:
    """Write the page of outcomes: a table of what can happen to any file, one of single fields."""
    files = [raw.file_name.removesuffix(".csv") for raw in RAW_FILES.values()]
    everywhere = [
        f"| {m.kind} | " + " | ".join(found[m.kind, table] for table in RAW_FILES) + " |"
        for m in WAYS
    ]
    single = [
        f"| {RAW_FILES[table].file_name} | {m.kind} | {found[m.kind, table]} |"
        for m in (*CLOCKS, *SHIFTS, *FIELDS)
        for table in m.tables
    ]
    return "\n".join(
        [
            "# What becomes of broken files",
            "",
            INTRODUCTION.format(mutants=len(found), rows=ROWS),
            "",
            "## Any file",
            "",
            "| what happened | " + " | ".join(files) + " |",
            "|---" * (len(files) + 1) + "|",
            *everywhere,
            "",
            "## One field of the third row, or one column",
            "",
            "| file | what happened | outcome |",
            "|---|---|---|",
            *single,
            "",
        ]
    )


if __name__ == "__main__":
    PAGE.write_text(page({at: said for at, (said, _) in outcomes().items()}))
