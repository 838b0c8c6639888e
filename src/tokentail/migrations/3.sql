-- From version 3 to 4: summaries end at a quarter of an hour, and hours and days that are not over have none.
CREATE TABLE settled (quarter INTEGER NOT NULL);
INSERT INTO settled (quarter) SELECT ifnull(max(quarter) + 1, 0) FROM quarters;
DELETE FROM hours WHERE hour >= (SELECT quarter / 4 FROM settled);
DELETE FROM days WHERE day >= (SELECT quarter / 96 FROM settled);
