"""ClickHouse as the central store: the only folder that knows its SQL and its client."""
