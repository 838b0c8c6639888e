"""The only place that imports pyarrow: rows as a Parquet file."""

from __future__ import annotations

from collections.abc import Iterable
from typing import TYPE_CHECKING, BinaryIO, get_type_hints

from tokentail.errors import TokentailError
from tokentail.export.rows import EXPORT_SCHEMA, ExportRow, batches, columns_of

if TYPE_CHECKING:
    import pyarrow

_BATCH_ROWS = 4_096  # that are in memory as Python objects
_GROUP_BATCHES = 8  # in a row group, which is in memory as columns
# Each text of these once a row group; those of the other columns hardly ever come twice.
_REPEATED = [ExportRow._fields[column] for column in columns_of(str) if ExportRow._fields[column] not in ("key", "id")]


def check_pyarrow() -> None:
    """
    Is there what it takes?

    Raises:
        TokentailError: pyarrow is not installed.
    """
    try:
        import pyarrow.parquet  # noqa: F401  # only whether it can be imported
    except ImportError as error:
        why = f"cannot write Parquet: {error} (pip install 'tokentail[parquet]', or choose --format csv or --format ndjson)"
        raise TokentailError(why) from error


def write_parquet(rows: Iterable[ExportRow], file: BinaryIO, *, prices: str) -> None:
    """All rows; `prices` tells readers of the file where its costs are from."""
    import pyarrow
    from pyarrow import parquet

    schema = _schema().with_metadata({"tokentail.schema": EXPORT_SCHEMA, "tokentail.prices": prices})
    group: list[pyarrow.RecordBatch] = []
    with parquet.ParquetWriter(file, schema, compression="zstd", use_dictionary=_REPEATED) as writer:
        for batch in batches(rows, _BATCH_ROWS):
            columns = [pyarrow.array(values, field.type) for values, field in zip(zip(*batch, strict=True), schema, strict=True)]
            group.append(pyarrow.record_batch(columns, schema=schema))
            if len(group) == _GROUP_BATCHES:
                writer.write_table(pyarrow.Table.from_batches(group))
                group.clear()
        if group:
            writer.write_table(pyarrow.Table.from_batches(group))


def _schema() -> pyarrow.Schema:
    import pyarrow

    kinds = {str: pyarrow.string(), int: pyarrow.int64(), bool: pyarrow.bool_(), float | None: pyarrow.float64()}
    # Not 64 bits: what a log claims is bounded, but its price in units of 10^-12 USD may be greater than that.
    kinds[int | None] = pyarrow.decimal128(38, 0)
    fields = {name: pyarrow.field(name, kinds[kind], nullable=kind == kind | None) for name, kind in get_type_hints(ExportRow).items()}
    fields["at"] = pyarrow.field("at", pyarrow.timestamp("ms", tz="UTC"), nullable=False)
    return pyarrow.schema(fields.values())
