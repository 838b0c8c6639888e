"""The only place that imports the client: questions and rows, and what went wrong in words."""

from __future__ import annotations

import threading
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from typing import TYPE_CHECKING, Any

from tokentail.errors import StoreError
from tokentail.fleet.clickhouse.address import Address

if TYPE_CHECKING:
    from clickhouse_connect.driver.client import Client

_SETTINGS = {
    "prefer_column_name_to_alias": 1,
    "distributed_product_mode": "local",  # all rows of a group stand on one server
}
_ANSWER_WITHIN_S = 300


class Server:
    """A connection that one thread at a time may use."""

    def __init__(self, address: Address) -> None:
        """
        Raises:
            StoreError: it cannot be reached, or does not let us in.
        """
        self.address = address
        self._lock = threading.Lock()
        with self._told("reach"):
            self._client = _connected(address)

    def rows(self, query: str, parameters: Mapping[str, Any] | None = None) -> list[tuple[Any, ...]]:
        """
        What a question is answered.

        Raises:
            StoreError: it cannot be.
        """
        with self._lock, self._told("ask"):
            return [tuple(row) for row in self._client.query(query, parameters=dict(parameters or {}), settings=_SETTINGS).result_rows]

    def run(self, statement: str) -> None:
        """
        Have something done.

        Raises:
            StoreError: it cannot be.
        """
        with self._lock, self._told("change"):
            self._client.command(statement)

    def insert(self, table: str, names: Sequence[str], columns: Sequence[Sequence[Any]]) -> None:
        """
        Add rows, given as columns. Done again it adds nothing that counts.

        Raises:
            StoreError: it cannot be.
        """
        if columns and columns[0]:
            with self._lock, self._told("write to"):
                database = None if self.address.layout.database == "default" else self.address.layout.database
                self._client.insert(table, columns, column_names=names, column_oriented=True, database=database)

    def close(self) -> None:
        self._client.close()

    @contextmanager
    def _told(self, what: str) -> Iterator[None]:
        from clickhouse_connect.driver.exceptions import ClickHouseError

        try:
            yield
        except (ClickHouseError, OSError) as error:
            raise StoreError(
                f"cannot {what} the ClickHouse {self.address}: {_said(error)} (`tokentail doctor --store URL` looks into it)"
            ) from error


def _connected(address: Address) -> Client:
    import clickhouse_connect

    if address.scheme == "chdb":
        return clickhouse_connect.get_client(dsn=f"chdb://{address.host}")
    return clickhouse_connect.get_client(
        host=address.host,
        port=address.port,
        username=address.user,
        password=address.password,
        secure=address.secure,
        verify=address.verify,
        ca_cert=address.ca_cert or None,
        client_name="tokentail",
        send_receive_timeout=_ANSWER_WITHIN_S,
        autogenerate_session_id=False,  # several may ask at once
    )


def _said(error: Exception) -> str:
    """The first line, without the query that some errors repeat: it may be long, and holds names."""
    line = str(error).split("\n")[0]
    for mark in (". In scope", ": While processing", " In query", " (for url"):
        line = line.partition(mark)[0]
    return "".join(each for each in line if each.isprintable())[:300]
