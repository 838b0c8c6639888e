-- From version 5 to 6: whose machine a record comes from, and what is still to be sent to others.
INSERT OR IGNORE INTO names (name) VALUES ('');
CREATE TABLE owners_now (
    id INTEGER PRIMARY KEY,
    copied INTEGER NOT NULL, subagent INTEGER NOT NULL, session INTEGER NOT NULL, project INTEGER NOT NULL, agent INTEGER NOT NULL,
    user INTEGER NOT NULL, host INTEGER NOT NULL,
    UNIQUE (copied, subagent, session, project, agent, user, host)
);
INSERT INTO owners_now
SELECT owners.id, copied, subagent, session, project, agent, nobody.id, nobody.id FROM owners JOIN names AS nobody ON nobody.name = '';
DROP TABLE owners;
ALTER TABLE owners_now RENAME TO owners;
CREATE TABLE destinations (
    id INTEGER PRIMARY KEY,
    url TEXT NOT NULL UNIQUE,
    labels TEXT NOT NULL
);
CREATE TABLE outbox (
    destination INTEGER NOT NULL,
    record INTEGER NOT NULL,
    state INTEGER NOT NULL,
    refused INTEGER NOT NULL,
    PRIMARY KEY (destination, record)
) WITHOUT ROWID;
