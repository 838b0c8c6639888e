-- From version 4 to 5: what Claude Code says of its limits and of what its sessions cost.
CREATE TABLE samples (
    kind TEXT NOT NULL,
    first_ms INTEGER NOT NULL,
    last_ms INTEGER NOT NULL,
    used_percent REAL NOT NULL,
    resets_ms INTEGER NOT NULL,
    PRIMARY KEY (kind, first_ms)
) WITHOUT ROWID;
CREATE TABLE said_sessions (
    session TEXT PRIMARY KEY,
    first_ms INTEGER NOT NULL,
    last_ms INTEGER NOT NULL,
    cost_usd REAL,
    ended_usd REAL NOT NULL,
    limits TEXT NOT NULL
) WITHOUT ROWID;
