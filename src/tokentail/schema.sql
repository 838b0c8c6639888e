-- The store: everything that tokentail has counted, and how far it has read. Times are milliseconds since 1970, UTC.
-- Why it is cut this way, with the figures: ARCHITECTURE.md, "The store".

-- A life of a log file: from its first byte to the moment when it is no longer the same file grown longer.
CREATE TABLE files (
    id INTEGER PRIMARY KEY,
    path BLOB NOT NULL,                  -- real path: text, or bytes where the name is not UTF-8
    root BLOB NOT NULL,                  -- the searched folder it was found in, likewise
    relative BLOB NOT NULL,              -- from there to the file, likewise
    state TEXT NOT NULL CHECK (state IN ('live', 'missing', 'rewritten')),
    device INTEGER NOT NULL,             -- hints, compared for being equal only: device to ctime_ns
    inode INTEGER NOT NULL,
    size_bytes INTEGER NOT NULL,
    mtime_ns INTEGER NOT NULL,
    ctime_ns INTEGER NOT NULL,
    offset_bytes INTEGER NOT NULL,       -- the cursor: just after a newline
    head_bytes INTEGER NOT NULL,         -- proofs: so many bytes at the start ...
    head_hash BLOB NOT NULL,
    marker_bytes INTEGER NOT NULL,       -- ... and before the cursor have these hashes
    marker_hash BLOB NOT NULL,
    malformed_lines INTEGER NOT NULL,
    seen_ms INTEGER NOT NULL             -- when it was last found changed
);
CREATE INDEX files_by_path ON files (path);  -- the current life of a path

-- Names of models, versions, sessions, projects and agents, each once.
CREATE TABLE names (id INTEGER PRIMARY KEY, name TEXT NOT NULL UNIQUE);

-- Where copies of replies stand (R7), each combination once; session, project, agent, user and host are names. The last two are
-- empty for what the logs of this machine say.
CREATE TABLE owners (
    id INTEGER PRIMARY KEY,
    copied INTEGER NOT NULL, subagent INTEGER NOT NULL, session INTEGER NOT NULL, project INTEGER NOT NULL, agent INTEGER NOT NULL,
    user INTEGER NOT NULL, host INTEGER NOT NULL,
    UNIQUE (copied, subagent, session, project, agent, user, host)
);

-- What usage objects say besides their counters (merge.Form), each text once.
CREATE TABLE forms (id INTEGER PRIMARY KEY, form TEXT NOT NULL UNIQUE);

-- All that a price depends on besides model, date and counters.
CREATE TABLE tiers (
    id INTEGER PRIMARY KEY,
    prompt_class INTEGER NOT NULL, speed TEXT NOT NULL, geo TEXT NOT NULL, service_tier TEXT NOT NULL,
    UNIQUE (prompt_class, speed, geo, service_tier)
);

-- The folder's real name of each project: the working folder with the least (time, folder) under that slug.
CREATE TABLE projects (project INTEGER PRIMARY KEY, at_ms INTEGER NOT NULL, folder TEXT NOT NULL);

-- Replies: what each group of records resolves to (R3). A group of one record, that is nearly every group, is its
-- reply and stands here only, so a row keeps all that a record needs for the next join (R10).
CREATE TABLE replies (
    id INTEGER PRIMARY KEY,              -- in order of arrival
    key TEXT NOT NULL,
    request_id TEXT NOT NULL,
    sidechain INTEGER NOT NULL,
    at_ms INTEGER NOT NULL,
    model INTEGER NOT NULL,
    version INTEGER NOT NULL,
    input INTEGER NOT NULL, output INTEGER NOT NULL, cache_read INTEGER NOT NULL,
    cache_write_5m INTEGER NOT NULL, cache_write_1h INTEGER NOT NULL,
    thinking INTEGER NOT NULL,
    form INTEGER NOT NULL,
    flags INTEGER NOT NULL,
    stopped INTEGER NOT NULL,
    final INTEGER NOT NULL,
    web_searches INTEGER NOT NULL,
    owner INTEGER NOT NULL,
    tier INTEGER NOT NULL
);
CREATE UNIQUE INDEX replies_by_key ON replies (key);          -- joining: is this reply known?
CREATE INDEX replies_by_time ON replies (at_ms);              -- the last hour, the feed, one summary row
CREATE INDEX replies_by_owner ON replies (owner, at_ms);      -- a session's or a project's replies, the sums of one quarter

-- Records of the groups that have more than one. The ids are drawn from the same sequence as those of replies.
CREATE TABLE records (
    id INTEGER PRIMARY KEY,
    group_text TEXT NOT NULL,
    request_id TEXT NOT NULL,
    sidechain INTEGER NOT NULL,
    at_ms INTEGER NOT NULL,
    model INTEGER NOT NULL,
    version INTEGER NOT NULL,
    input INTEGER NOT NULL, output INTEGER NOT NULL, cache_read INTEGER NOT NULL,
    cache_write_5m INTEGER NOT NULL, cache_write_1h INTEGER NOT NULL,
    thinking INTEGER NOT NULL,
    form INTEGER NOT NULL,
    flags INTEGER NOT NULL,
    stopped INTEGER NOT NULL,
    final INTEGER NOT NULL,
    web_searches INTEGER NOT NULL,
    owner INTEGER NOT NULL
);
CREATE UNIQUE INDEX records_by_group ON records (group_text, request_id, sidechain);  -- joining

-- Usage billed besides a reply's own, at its own model (R6).
CREATE TABLE extras (
    reply INTEGER NOT NULL,
    model INTEGER NOT NULL,
    input INTEGER NOT NULL, output INTEGER NOT NULL, cache_read INTEGER NOT NULL,
    cache_write_5m INTEGER NOT NULL, cache_write_1h INTEGER NOT NULL,
    tier INTEGER NOT NULL
);
CREATE INDEX extras_by_reply ON extras (reply);

-- Which lines a record was seen on. A row holds those of one read: two arrays of 32-bit numbers, little end first,
-- the records' ids and the lines' offsets from start_bytes.
CREATE TABLE sightings (
    file INTEGER NOT NULL,
    start_bytes INTEGER NOT NULL,
    records BLOB NOT NULL,
    offsets BLOB NOT NULL,
    PRIMARY KEY (file, start_bytes)
) WITHOUT ROWID;

-- Where `tokentail push` sends records to.
CREATE TABLE destinations (
    id INTEGER PRIMARY KEY,
    url TEXT NOT NULL UNIQUE,
    labels TEXT NOT NULL                 -- JSON: by which names the records went, see outbox.Labels
);

-- The records that a destination does not have as they are now.
CREATE TABLE outbox (
    destination INTEGER NOT NULL,
    record INTEGER NOT NULL,
    state INTEGER NOT NULL,              -- drawn anew whenever the record changes: one that changes on its way is still to be sent
    refused INTEGER NOT NULL,            -- the destination will not have it as it is
    PRIMARY KEY (destination, record)
) WITHOUT ROWID;

-- Lines that could not be read; at most 1000 a file life, all of them counted in files.malformed_lines.
CREATE TABLE rejects (
    file INTEGER NOT NULL,
    offset_bytes INTEGER NOT NULL,
    reason TEXT NOT NULL,
    PRIMARY KEY (file, offset_bytes)
) WITHOUT ROWID;

-- The first quarter of an hour that the summaries do not hold, nor any later one; days and hours that it is in have no rows yet.
CREATE TABLE settled (quarter INTEGER NOT NULL);
INSERT INTO settled (quarter) VALUES (0);

-- Summaries: replies added up by quarter of an hour (at_ms / 900000). Never added to: what changed is recomputed whole.
CREATE TABLE quarters (
    quarter INTEGER NOT NULL,
    owner INTEGER NOT NULL,
    model INTEGER NOT NULL,
    tier INTEGER NOT NULL,
    input INTEGER NOT NULL, output INTEGER NOT NULL, cache_read INTEGER NOT NULL,
    cache_write_5m INTEGER NOT NULL, cache_write_1h INTEGER NOT NULL,
    replies INTEGER NOT NULL,
    not_final INTEGER NOT NULL,
    web_searches INTEGER NOT NULL,
    first_ms INTEGER NOT NULL,           -- of the first reply and ...
    last_ms INTEGER NOT NULL,            -- of the last one
    PRIMARY KEY (quarter, owner, model, tier)
) WITHOUT ROWID;

-- The same by hour (at_ms / 3600000) and without owners: what a report on the days of many months reads.
CREATE TABLE hours (
    hour INTEGER NOT NULL,
    model INTEGER NOT NULL,
    tier INTEGER NOT NULL,
    input INTEGER NOT NULL, output INTEGER NOT NULL, cache_read INTEGER NOT NULL,
    cache_write_5m INTEGER NOT NULL, cache_write_1h INTEGER NOT NULL,
    replies INTEGER NOT NULL,
    not_final INTEGER NOT NULL,
    web_searches INTEGER NOT NULL,
    first_ms INTEGER NOT NULL,
    last_ms INTEGER NOT NULL,
    PRIMARY KEY (hour, model, tier)
) WITHOUT ROWID;

-- The same by UTC day (at_ms / 86400000) and owner: what a report by session, project or model reads.
CREATE TABLE days (
    day INTEGER NOT NULL,
    owner INTEGER NOT NULL,
    model INTEGER NOT NULL,
    tier INTEGER NOT NULL,
    input INTEGER NOT NULL, output INTEGER NOT NULL, cache_read INTEGER NOT NULL,
    cache_write_5m INTEGER NOT NULL, cache_write_1h INTEGER NOT NULL,
    replies INTEGER NOT NULL,
    not_final INTEGER NOT NULL,
    web_searches INTEGER NOT NULL,
    first_ms INTEGER NOT NULL,
    last_ms INTEGER NOT NULL,
    PRIMARY KEY (day, owner, model, tier)
) WITHOUT ROWID;

-- What a person had purged: the hashes of its groups of records, so that reading their lines again brings nothing back.
CREATE TABLE forgotten (
    hash BLOB PRIMARY KEY,               -- 16 bytes: of the group, or of a request in one that several requests share
    at_ms INTEGER NOT NULL               -- when it was purged
) WITHOUT ROWID;

-- What changed lately, for processes that follow without ingesting; the oldest rows are dropped.
CREATE TABLE changes (
    seq INTEGER PRIMARY KEY AUTOINCREMENT,
    event TEXT NOT NULL,                 -- new, grown, corrected, gone
    key TEXT NOT NULL                    -- of the reply
);

-- One row a pass that found something, and the newest pass that did not.
CREATE TABLE passes (
    id INTEGER PRIMARY KEY AUTOINCREMENT,
    at_ms INTEGER NOT NULL,
    process INTEGER NOT NULL,
    idle INTEGER NOT NULL,               -- it found nothing
    metrics TEXT NOT NULL                -- JSON, see model.Metrics
);

-- What Claude Code said of its limits, by the status line: a row a value, from when it was said first to when it was said last.
CREATE TABLE samples (
    kind TEXT NOT NULL,                  -- five_hour, seven_day, seven_day_opus, seven_day_sonnet
    first_ms INTEGER NOT NULL,
    last_ms INTEGER NOT NULL,
    used_percent REAL NOT NULL,
    resets_ms INTEGER NOT NULL,          -- when the window ends
    PRIMARY KEY (kind, first_ms)
) WITHOUT ROWID;

-- What Claude Code says that its sessions cost, and what it said of its limits there last: who says the same again knows nothing new.
CREATE TABLE said_sessions (
    session TEXT PRIMARY KEY,
    first_ms INTEGER NOT NULL,           -- when the status line heard of it first, and when last
    last_ms INTEGER NOT NULL,
    cost_usd REAL,                       -- what it says now; NULL: nothing
    ended_usd REAL NOT NULL,             -- what it had said each time before it began again from less, added up
    limits TEXT NOT NULL
) WITHOUT ROWID;

CREATE TABLE meta (name TEXT PRIMARY KEY, value TEXT NOT NULL) WITHOUT ROWID;
