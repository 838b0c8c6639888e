"""The only place that imports pyarrow: rows as a Parquet file, and records back from one."""

from __future__ import annotations

import sqlite3
from collections import deque
from collections.abc import Callable, Iterable, Iterator, Mapping
from pathlib import Path
from typing import TYPE_CHECKING, BinaryIO, get_type_hints

from tokentail.database import snapshot
from tokentail.errors import StoreError, TokentailError
from tokentail.export.record_rows import COLUMNS, RECORDS_SCHEMA, REPEATED, Digest, RecordRows, Written, record_of
from tokentail.export.rows import EXPORT_SCHEMA, ExportRow, batches, columns_of
from tokentail.model import RULES_VERSION, Record

if TYPE_CHECKING:
    import pyarrow

_BATCH_ROWS = 4_096  # that are in memory as Python objects
_TAKEN_ROWS = 16_384  # of a file of records that are handed over at once
_MAGIC = b"PAR1"
_GROUP_BATCHES = 8  # in a row group, which is in memory as columns
# Each text of these once a row group; those of the other columns hardly ever come twice.
_REPEATED = [ExportRow._fields[column] for column in columns_of(str) if ExportRow._fields[column] not in ("key", "id")]


def check_pyarrow(otherwise: str = ", or choose --format csv or --format ndjson", *, verb: str = "write") -> None:
    """
    Is there what it takes? If not, `otherwise` says what can be done without.

    Raises:
        TokentailError: pyarrow is not installed.
    """
    try:
        import pyarrow.parquet  # noqa: F401  # only whether it can be imported
    except ImportError as error:
        raise TokentailError(f"cannot {verb} Parquet: {error} (pip install 'tokentail[parquet]'{otherwise})") from error


def write_parquet(rows: Iterable[ExportRow], file: BinaryIO, *, prices: str) -> None:
    """All rows; `prices` tells readers of the file where its costs are from."""
    schema = _schema().with_metadata({"tokentail.schema": EXPORT_SCHEMA, "tokentail.prices": prices})
    _write(rows, file, schema, _REPEATED)


def write_records(db: sqlite3.Connection, file: BinaryIO, is_sound: Callable[[Record], bool]) -> Written:
    """All records of one moment of a store; `is_sound` says which of them another tokentail would take."""
    rows = RecordRows(db, is_sound)
    schema = _record_schema().with_metadata({"tokentail.schema": RECORDS_SCHEMA, "tokentail.rules": str(RULES_VERSION)})
    with snapshot(db):
        _write(rows, file, schema, REPEATED, lambda: {"tokentail.digest": rows.digest.text()})
    return rows.written()


def is_parquet(path: Path) -> bool:
    """Does a file begin as one?"""
    try:
        with path.open("rb") as file:
            return file.read(len(_MAGIC)) == _MAGIC
    except OSError:
        return False


def read_records(path: Path) -> Iterator[list[tuple[Record, tuple[str, int, str]]]]:
    """
    The records of a file, each with its project's slug, moment and folder, so many at a time. Nothing is known yet of their values,
    and that they are those that were written is known at the end.

    Raises:
        StoreError: it is damaged, holds something else, or is of another version.
    """
    import pyarrow
    from pyarrow import parquet

    try:
        with parquet.ParquetFile(path, page_checksum_verification=True) as file:
            said = file.metadata.metadata or {}
            _check_schema(path, file.schema_arrow, said)
            digest = Digest()
            for batch in file.iter_batches(_TAKEN_ROWS, columns=list(COLUMNS), use_threads=False):
                rows = list(zip(*(column.to_pylist() for column in batch.select(list(COLUMNS)).columns), strict=True))
                deque(map(digest.add, rows), maxlen=0)
                yield list(map(record_of, rows))
            if said.get(b"tokentail.digest") != digest.text().encode():
                raise _damaged(path, "its rows are not those that were written")
    except (pyarrow.ArrowException, OSError, UnicodeDecodeError) as error:
        raise _damaged(path, str(error).partition("\n")[0][:200]) from error


def _damaged(path: Path, why: str) -> StoreError:
    return StoreError(f"cannot read {path}: it is damaged: {why} (export it again where it comes from)")


def _check_schema(path: Path, schema: pyarrow.Schema, said: Mapping[bytes, bytes]) -> None:
    name, rules = (
        said.get(b"tokentail.schema", b"").decode("utf-8", "replace"),
        said.get(b"tokentail.rules", b"").decode("utf-8", "replace"),
    )
    if name != RECORDS_SCHEMA:
        if name.startswith(RECORDS_SCHEMA.rstrip("1")):
            raise StoreError(f"cannot read {path}: another version of tokentail wrote it (update the older one)")
        raise StoreError(
            f"cannot read {path}: it holds no records of tokentail (`tokentail export --records {path.name}` writes such a file)"
        )
    if rules != str(RULES_VERSION):
        raise StoreError(f"cannot read {path}: its records were counted by other rules (update the older tokentail, and export it again)")
    wanted = _record_schema()
    if not all(schema.get_field_index(field.name) >= 0 and schema.field(field.name).type == field.type for field in wanted):
        raise StoreError(f"cannot read {path}: it lacks columns of {RECORDS_SCHEMA} (export it again where it comes from)")


def _write(
    rows: Iterable[tuple[object, ...]],
    file: BinaryIO,
    schema: pyarrow.Schema,
    repeated: list[str],
    at_the_end: Callable[[], dict[str, str]] = dict,
) -> None:
    import pyarrow
    from pyarrow import parquet

    group: list[pyarrow.RecordBatch] = []
    with parquet.ParquetWriter(file, schema, compression="zstd", use_dictionary=repeated, write_page_checksum=True) as writer:
        for batch in batches(rows, _BATCH_ROWS):
            columns = [pyarrow.array(values, field.type) for values, field in zip(zip(*batch, strict=True), schema, strict=True)]
            group.append(pyarrow.record_batch(columns, schema=schema))
            if len(group) == _GROUP_BATCHES:
                writer.write_table(pyarrow.Table.from_batches(group))
                group.clear()
        if group:
            writer.write_table(pyarrow.Table.from_batches(group))
        writer.add_key_value_metadata(at_the_end())


def _record_schema() -> pyarrow.Schema:
    import pyarrow

    kinds = {str: pyarrow.string(), int: pyarrow.int64(), bool: pyarrow.bool_()}
    return pyarrow.schema([pyarrow.field(name, kinds[kind], nullable=False) for name, kind in COLUMNS.items()])


def _schema() -> pyarrow.Schema:
    import pyarrow

    kinds = {str: pyarrow.string(), int: pyarrow.int64(), bool: pyarrow.bool_(), float | None: pyarrow.float64()}
    # Not 64 bits: what a log claims is bounded, but its price in units of 10^-12 USD may be greater than that.
    kinds[int | None] = pyarrow.decimal128(38, 0)
    fields = {name: pyarrow.field(name, kinds[kind], nullable=kind == kind | None) for name, kind in get_type_hints(ExportRow).items()}
    fields["at"] = pyarrow.field("at", pyarrow.timestamp("ms", tz="UTC"), nullable=False)
    return pyarrow.schema(fields.values())
