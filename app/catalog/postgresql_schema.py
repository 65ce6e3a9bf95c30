"""What only PostgreSQL has: functions, triggers and views in place of SQLite's triggers and FTS5.

Many writers work side by side here, so a trigger never changes a row that another writer changes as well: counts are
sums of rows that are only ever added, see `app.catalog.tables.count_changes`. About one writer in a hundred puts such
rows together; the others do not wait for it.
"""

from sqlalchemy import Connection

from app.catalog.postgresql import FOLDING, LOG_ORDER
from app.catalog.words import LONGEST_WORD

COUNTS = """
CREATE TABLE count_changes (
    state varchar(8) NOT NULL, pictures bigint NOT NULL, bytes bigint NOT NULL
);
CREATE VIEW counts AS
    SELECT state, sum(pictures)::bigint AS pictures, sum(bytes)::bigint AS bytes FROM count_changes GROUP BY state;
CREATE FUNCTION fold_counts() RETURNS void LANGUAGE sql AS $$
    WITH folded AS (DELETE FROM count_changes RETURNING *)
    INSERT INTO count_changes SELECT state, sum(pictures), sum(bytes) FROM folded GROUP BY state;
$$;
CREATE FUNCTION count_pictures() RETURNS trigger LANGUAGE plpgsql AS $$ BEGIN
    IF TG_OP = 'INSERT' THEN
        INSERT INTO count_changes SELECT state, count(*), sum(bytes) FROM come GROUP BY state;
    ELSIF TG_OP = 'DELETE' THEN
        INSERT INTO count_changes SELECT state, -count(*), -sum(bytes) FROM gone GROUP BY state;
    ELSE
        INSERT INTO count_changes SELECT state, sum(n), sum(n * bytes)
        FROM (SELECT state, 1 AS n, bytes FROM come UNION ALL SELECT state, -1, bytes FROM gone) AS changed
        GROUP BY state HAVING sum(n) <> 0 OR sum(n * bytes) <> 0;
    END IF;
    IF FOUND AND random() < 0.01 AND pg_try_advisory_xact_lock({folding}) THEN PERFORM fold_counts(); END IF;
    RETURN NULL;
END $$;
"""

DAYS = """
CREATE TABLE day_changes (day date NOT NULL, pictures bigint NOT NULL);
CREATE VIEW days AS
    SELECT day, sum(pictures)::bigint AS pictures FROM day_changes GROUP BY day HAVING sum(pictures) > 0;
CREATE FUNCTION fold_days() RETURNS void LANGUAGE sql AS $$
    WITH folded AS (
        DELETE FROM day_changes WHERE day IN (SELECT day FROM day_changes GROUP BY day HAVING count(*) > 1) RETURNING *
    )
    INSERT INTO day_changes SELECT day, sum(pictures) FROM folded GROUP BY day HAVING sum(pictures) <> 0;
$$;
CREATE FUNCTION count_days() RETURNS trigger LANGUAGE plpgsql AS $$ BEGIN
    IF TG_OP = 'INSERT' THEN
        INSERT INTO day_changes SELECT date::date, count(*) FROM come GROUP BY 1;
    ELSIF TG_OP = 'DELETE' THEN
        INSERT INTO day_changes SELECT date::date, -count(*) FROM gone GROUP BY 1;
    ELSE
        INSERT INTO day_changes SELECT day, sum(n)
        FROM (SELECT date::date AS day, 1 AS n FROM come UNION ALL SELECT date::date, -1 FROM gone) AS changed
        GROUP BY day HAVING sum(n) <> 0;
    END IF;
    IF FOUND AND random() < 0.01 AND pg_try_advisory_xact_lock({folding}) THEN PERFORM fold_days(); END IF;
    RETURN NULL;
END $$;
"""

TRIGGERS = """
CREATE TRIGGER {name}_insert AFTER INSERT ON images
    REFERENCING NEW TABLE AS come FOR EACH STATEMENT EXECUTE FUNCTION {function}();
CREATE TRIGGER {name}_delete AFTER DELETE ON images
    REFERENCING OLD TABLE AS gone FOR EACH STATEMENT EXECUTE FUNCTION {function}();
CREATE TRIGGER {name}_update AFTER UPDATE ON images
    REFERENCING OLD TABLE AS gone NEW TABLE AS come FOR EACH STATEMENT EXECUTE FUNCTION {function}();
"""

# A follower that has read up to a `seq` never looks below it again. So the transaction that takes the next numbers is
# alone from then until it has committed: numbers become visible in their order. Locks are given up after a commit is
# visible: https://github.com/postgres/postgres/blob/REL_18_STABLE/src/backend/access/transam/xact.c, CommitTransaction
LOG_IN_ORDER = """
CREATE FUNCTION keep_log_in_order() RETURNS trigger LANGUAGE plpgsql AS $$ BEGIN
    PERFORM pg_advisory_xact_lock({log_order});
    RETURN NULL;
END $$;
CREATE TRIGGER vectors_in_order BEFORE INSERT ON vectors FOR EACH STATEMENT EXECUTE FUNCTION keep_log_in_order();
"""

# Words come folded, as letters and digits with blanks between them (`app.catalog.words`), so no parser and no
# dictionary has a say: each is a lexeme, at its place. Between name and caption a place stays free, so that no phrase
# reaches across. A lexeme has at most 2,046 bytes, a place is at most 16,383:
# https://www.postgresql.org/docs/18/textsearch-limitations.html
WORDS = """
CREATE FUNCTION word_places(name text, caption text) RETURNS tsvector LANGUAGE sql IMMUTABLE PARALLEL SAFE AS $$
    SELECT coalesce(string_agg('''' || left(word, {longest}) || ''':' || least(place, 16383), ' '), '')::tsvector
    FROM (
        SELECT word, place FROM unnest(string_to_array(name, ' ')) WITH ORDINALITY AS named (word, place)
        UNION ALL
        SELECT word, place + coalesce(cardinality(string_to_array(name, ' ')), 0) + 1
        FROM unnest(string_to_array(caption, ' ')) WITH ORDINALITY AS captioned (word, place)
    ) AS words WHERE word <> ''
$$;
CREATE TABLE words (
    rowid bigint PRIMARY KEY, name text NOT NULL, caption text NOT NULL,
    places tsvector GENERATED ALWAYS AS (word_places(name, caption)) STORED
);
CREATE INDEX ix_words_places ON words USING gin (places);
"""


def create_counts(connection: Connection) -> None:
    connection.exec_driver_sql(COUNTS.format(folding=FOLDING))
    connection.exec_driver_sql(TRIGGERS.format(name="counts", function="count_pictures"))


def recount(connection: Connection) -> None:
    """Make the counts what the pictures say, while others go on writing: all in one statement, so of one moment."""
    connection.exec_driver_sql(f"SELECT pg_advisory_xact_lock({FOLDING})")
    connection.exec_driver_sql(
        "WITH wrong AS (DELETE FROM count_changes) "
        "INSERT INTO count_changes SELECT state, count(*), sum(bytes) FROM images GROUP BY state"
    )


def create_days(connection: Connection) -> None:
    connection.exec_driver_sql(DAYS.format(folding=FOLDING))
    connection.exec_driver_sql(TRIGGERS.format(name="days", function="count_days"))


def keep_log_in_order(connection: Connection) -> None:
    connection.exec_driver_sql(LOG_IN_ORDER.format(log_order=LOG_ORDER))


def create_words(connection: Connection) -> None:
    connection.exec_driver_sql(WORDS.format(longest=LONGEST_WORD))
