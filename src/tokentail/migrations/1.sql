-- From version 1 to 2: summaries by owner, by hour and by UTC day, made anew from the replies; what was forgotten.
DROP TABLE quarters;
DROP TABLE hours;
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
    first_ms INTEGER NOT NULL,
    last_ms INTEGER NOT NULL,
    PRIMARY KEY (quarter, owner, model, tier)
) WITHOUT ROWID;
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
CREATE TABLE forgotten (
    hash BLOB PRIMARY KEY,
    at_ms INTEGER NOT NULL
) WITHOUT ROWID;
INSERT INTO quarters (quarter, owner, model, tier, input, output, cache_read, cache_write_5m, cache_write_1h, replies, not_final, web_searches, first_ms, last_ms)
 SELECT quarter, owner, model, tier, sum(input), sum(output), sum(cache_read), sum(cache_write_5m), sum(cache_write_1h), sum(replies), sum(not_final), sum(web_searches), min(first_ms), max(last_ms) FROM (
SELECT at_ms / 900000 AS quarter, replies.owner AS owner, model, tier,
    input, output, cache_read, cache_write_5m, cache_write_1h, 1 AS replies, 1 - final AS not_final, web_searches,
    at_ms AS first_ms, at_ms AS last_ms
FROM replies
UNION ALL
SELECT at_ms / 900000, replies.owner, extras.model, extras.tier,
    extras.input, extras.output, extras.cache_read, extras.cache_write_5m, extras.cache_write_1h, 0, 0, 0, at_ms, at_ms
FROM extras JOIN replies ON extras.reply = replies.id) GROUP BY quarter, owner, model, tier;
INSERT INTO hours (hour, model, tier, input, output, cache_read, cache_write_5m, cache_write_1h, replies, not_final, web_searches, first_ms, last_ms)
 SELECT quarter / 4 AS hour, model, tier, sum(input), sum(output), sum(cache_read), sum(cache_write_5m), sum(cache_write_1h), sum(replies), sum(not_final), sum(web_searches), min(first_ms), max(last_ms) FROM quarters GROUP BY hour, model, tier;
INSERT INTO days (day, owner, model, tier, input, output, cache_read, cache_write_5m, cache_write_1h, replies, not_final, web_searches, first_ms, last_ms)
 SELECT quarter / 96 AS day, quarters.owner, model, tier, sum(input), sum(output), sum(cache_read), sum(cache_write_5m), sum(cache_write_1h), sum(replies), sum(not_final), sum(web_searches), min(first_ms), max(last_ms) FROM quarters GROUP BY day, quarters.owner, model, tier;
