-- From version 2 to 3: the replies of an owner in a quarter of an hour are found without the others of that quarter.
DROP INDEX replies_by_owner;
CREATE INDEX replies_by_owner ON replies (owner, at_ms);
