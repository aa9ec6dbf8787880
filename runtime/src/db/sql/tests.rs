use super::Dialect::{Cockroach, MySql, Postgres, Redshift, Sqlite};
use super::*;
use proptest::prelude::*;

#[test]
fn values_go_and_names_stay() {
    for (dialect, statement, expected) in [
        (
            Postgres,
            "SELECT * FROM t WHERE a = 'it''s' AND b=5",
            "SELECT * FROM t WHERE a = ? AND b = ?",
        ),
        (
            Postgres,
            "select $1::int, $tag$ secret ' $tag$, $$x$$",
            "select ? :: int, ?, ?",
        ),
        (
            Postgres,
            r"SELECT E'a\'secret', U&'x', b'01', X'ff'",
            "SELECT ?, ?, ?, ?",
        ),
        (
            Postgres,
            "SELECT /* a /* nested secret */ b */ 1 -- secret\n, 2",
            "SELECT ?, ?",
        ),
        (
            Postgres,
            r#"SELECT "col""umn" FROM "Sch"."Tab""#,
            r#"SELECT "col""umn" FROM "Sch"."Tab""#,
        ),
        (
            Postgres,
            "INSERT INTO t (a, b) VALUES ($1, 'x', 1.5e-3), (2, 0xFF, 1_000)",
            "INSERT INTO t(a, b) VALUES(?)",
        ),
        (
            Postgres,
            "SELECT a FROM t WHERE id IN (1, 2, 3)",
            "SELECT a FROM t WHERE id IN(?)",
        ),
        (
            MySql,
            r#"SELECT "it\"s", 'a\'b' FROM `t` # secret"#,
            "SELECT ?, ? FROM `t`",
        ),
        (
            Sqlite,
            "SELECT [a b] FROM `t` WHERE x = :name AND y = @p AND z = ?2",
            "SELECT [a b] FROM `t` WHERE x = ? AND y = ? AND z = ?",
        ),
        (
            Sqlite,
            "UPDATE t SET ok = TRUE, n = .5 WHERE p = 'unclosed secret",
            "UPDATE t SET ok = ?, n = ? WHERE p = ?",
        ),
        (Postgres, r#"SELECT "a FROM t WHERE p = 'secret'"#, "SELECT ?"),
        (Sqlite, "SELECT [a FROM t WHERE p = 'secret'", "SELECT ?"),
        (MySql, "SELECT `a FROM t WHERE p = 'secret'", "SELECT ?"),
        (
            Sqlite,
            r#"SELECT "id" FROM "t" WHERE "t"."a" = "secret" AND b IN ("s1", "s2") AND c LIKE "s%" AND "t"."d" = "t"."e""#,
            r#"SELECT ? FROM "t" WHERE "t"."a" = ? AND b IN(?) AND c LIKE ? AND "t"."d" = "t"."e""#,
        ),
        (
            Sqlite,
            r#"INSERT INTO "t" ("a", "b") VALUES ("s1", 2), (3, "s2")"#,
            r#"INSERT INTO "t" ("a", "b") VALUES(?)"#,
        ),
        (
            Postgres,
            "SELECT a FROM t WHERE id IN ($1::int, -2, +3) AND c >= 6 AND d <> 7 AND e != 8 AND f || g",
            "SELECT a FROM t WHERE id IN(?) AND c >= ? AND d <> ? AND e != ? AND f || g",
        ),
        (
            MySql,
            "INSERT INTO t VALUES (1, now()), (2, 3), (4, 5)",
            "INSERT INTO t VALUES(?, now()), (?)",
        ),
    ] {
        assert_eq!(show(statement, dialect).text, expected);
    }
}

/// What each server takes for one token: read otherwise, a value would stand outside of its quotes.
#[test]
fn tokens_end_where_the_server_ends_them() {
    for (dialect, statement, expected) in [
        // Where dollar quotes may follow.
        (Postgres, "SELECT a @@$$my secret$$, b", "SELECT a @@?, b"),
        (Postgres, "SELECT a ?$$my secret$$, b", "SELECT a ? ?, b"),
        (Postgres, "SELECT $1$$my secret$$, b", "SELECT ? ?, b"),
        (Postgres, "SELECT $😀$my secret$😀$, b", "SELECT ?, b"),
        (Postgres, "SELECT a\u{a0}$$, 'a $$ secret'", "SELECT a\u{a0}$$, ?"),
        (Postgres, "SELECT 😀$$, 'a $$ secret'", "SELECT 😀$$, ?"),
        // What knows backslashes.
        (Postgres, r"SELECT a @@E'it\'s secret', b", "SELECT a @@?, b"),
        (Postgres, "SELECT E'a'\n'it\\'s secret', b", "SELECT ?, b"),
        (Redshift, r"SELECT 'it\'s secret', $$my secret$$, b", "SELECT ?, ?, b"),
        (
            Cockroach,
            r"SELECT b'it\'s secret', e'it\'s secret', 'a\', b",
            "SELECT ?, ?, ?, b",
        ),
        (Sqlite, r"SELECT e'a\', 'secret' FROM t", "SELECT ?, ? FROM t"),
        // What quotes, and what does not.
        (Postgres, "SELECT a ` 2, 'it`s secret'", "SELECT a ` ?, ?"),
        // Where comments begin and end.
        (Postgres, "SELECT 1 -- it's\r, 'a $$ secret'", "SELECT ?, ?"),
        (Postgres, "SELECT 0xe--it's a secret", "SELECT ?"),
        (MySql, "SELECT 5--\"a\n my secret\", b", "SELECT ? --?, b"),
        (MySql, "SELECT 5-- a secret\n, b", "SELECT ?, b"),
        (MySql, "SELECT /*! 'a*/ secret' */ b", "SELECT"),
        (MySql, "SELECT /*!40001 SQL_NO_CACHE */ a FROM t", "SELECT a FROM t"),
        // A placeholder ends where its name ends.
        (
            MySql,
            "SELECT a FROM t WHERE b=?AND c=1",
            "SELECT a FROM t WHERE b = ? AND c = ?",
        ),
    ] {
        assert_eq!(show(statement, dialect).text, expected, "{statement}");
    }
}

/// `SQLite` takes for a text what it finds no column for.
#[test]
fn double_quoted_texts_of_sqlite_are_hidden() {
    for (statement, expected) in [
        (
            r#"SELECT "id" FROM "my t" WHERE d BETWEEN "s1" AND "s2" AND "id" = 1"#,
            r#"SELECT ? FROM "my t" WHERE d BETWEEN ? AND ? AND ? = ?"#,
        ),
        (
            r#"SELECT a LIKE b ESCAPE "s", "t"."id", max("t"."id")"#,
            r#"SELECT a LIKE b ESCAPE ?, "t"."id", max("t"."id")"#,
        ),
        (
            r#"SELECT a AS "the id" FROM "a", "b" x JOIN "c" ON a = ("s") WHERE x IN (lower("s")) LIMIT "s""#,
            r#"SELECT a AS "the id" FROM "a", "b" x JOIN "c" ON a = (?) WHERE x IN(lower(?)) LIMIT ?"#,
        ),
        (
            r#"UPDATE "t" SET "a" = "s", "b" = -"s" WHERE "s" = c"#,
            r#"UPDATE "t" SET "a" = ?, "b" = -? WHERE ? = c"#,
        ),
        (
            r#"INSERT INTO "t" ("a", b) SELECT "s", coalesce(c, "s") FROM "u""#,
            r#"INSERT INTO "t" ("a", b) SELECT ?, coalesce(c, ?) FROM "u""#,
        ),
        (
            r#"CREATE TABLE IF NOT EXISTS "t" ("a" TEXT DEFAULT "s", "b" REFERENCES "u")"#,
            r#"CREATE TABLE IF NOT EXISTS "t" ("a" TEXT DEFAULT ?, "b" REFERENCES "u")"#,
        ),
        (
            r#"SELECT a FROM t WHERE a IS DISTINCT FROM "s1" AND b = "s2""#,
            r"SELECT a FROM t WHERE a IS DISTINCT FROM ? AND b = ?",
        ),
        (
            r#"SELECT a FROM t WHERE a IS NOT DISTINCT FROM "s1" AND b = "s2""#,
            r"SELECT a FROM t WHERE a IS NOT DISTINCT FROM ? AND b = ?",
        ),
        (
            r#"SELECT a FROM (SELECT a, "ada@example.com" FROM "u") "x", "y""#,
            r#"SELECT a FROM(SELECT a, ? FROM "u") "x", "y""#,
        ),
        (r#"SELECT a FROM t JOIN ("s", "u")"#, r"SELECT a FROM t JOIN(?)"),
        (r#"INSERT INTO t (SELECT a, "s")"#, r"INSERT INTO t(SELECT a, ?)"),
        (
            r#"INSERT INTO t (WITH x AS (VALUES ("s", "s")) SELECT "s")"#,
            r"INSERT INTO t(WITH x AS(VALUES(?)) SELECT ?)",
        ),
        (
            r#"SELECT value FROM json_each("[1,2]")"#,
            r"SELECT value FROM json_each(?)",
        ),
        (
            r#"SELECT a FROM "u", main.fts("secret words", "s") JOIN "v""#,
            r#"SELECT a FROM "u", main.fts(?) JOIN "v""#,
        ),
        (
            r#"UPDATE t SET a = iif("x@y" = b, 1, 0)"#,
            r"UPDATE t SET a = iif(? = b, ?, ?)",
        ),
        (
            r#"UPDATE t SET a = iif(b, "x@y" = b, (SELECT "s" FROM "u")), "c" = "s""#,
            r#"UPDATE t SET a = iif(b, ? = b, (SELECT ? FROM "u")), "c" = ?"#,
        ),
        (
            r#"SELECT (SELECT a FROM "u"), "s" WHERE a IN (SELECT b FROM c) AND d = "s""#,
            r#"SELECT(SELECT a FROM "u"), ? WHERE a IN(SELECT b FROM c) AND d = ?"#,
        ),
        (
            r#"ALTER TABLE t ADD COLUMN "c" TEXT CHECK ("s" <> c)"#,
            r#"ALTER TABLE t ADD COLUMN "c" TEXT CHECK(? <> c)"#,
        ),
        (
            r#"CREATE TABLE t (a REFERENCES u ON UPDATE CASCADE CHECK ("s" <> a), "b")"#,
            r#"CREATE TABLE t(a REFERENCES u ON UPDATE CASCADE CHECK(? <> a), "b")"#,
        ),
        (
            r#"CREATE VIEW main."v" ("a", "b") AS SELECT "s""#,
            r#"CREATE VIEW main."v" ("a", "b") AS SELECT ?"#,
        ),
        (
            r#"DELETE FROM "t"; PRAGMA user_name = "s""#,
            r#"DELETE FROM "t"; PRAGMA user_name = ?"#,
        ),
    ] {
        assert_eq!(
            show(statement, Sqlite).text.replace("( ", "("),
            expected.replace("( ", "("),
            "{statement}"
        );
    }
}

#[test]
fn an_operation_is_a_word_of_sql() {
    for statement in ["a".repeat(5000), "é1 'x'".to_owned(), "$$ x".to_owned()] {
        let shown = show(&statement, Postgres);
        assert_eq!((shown.summary.as_str(), shown.operation.as_str()), ("", ""));
    }
}

/// Every name once, as many as fit, however many there are.
#[test]
fn a_summary_is_bounded() {
    let tables: Vec<_> = (0..20_000).map(|n| format!("t{n}, FROM")).collect();
    let shown = show(&format!("SELECT a FROM {}", tables.join(", ")), Postgres);
    assert!(shown.summary.starts_with("SELECT t0 FROM t1 t2 "), "{}", shown.summary);
    assert!(shown.summary.len() <= MAX_SUMMARY && shown.text.len() <= MAX_TEXT);
    assert_eq!(shown.collection, None);
}

#[test]
fn words_that_only_look_as_before_a_table() {
    for (statement, summary) in [
        ("SELECT a FROM t FOR UPDATE SKIP LOCKED", "SELECT t"),
        ("SELECT a FROM t FOR NO KEY UPDATE NOWAIT", "SELECT t"),
        (
            "INSERT INTO t (a) VALUES (1) ON DUPLICATE KEY UPDATE n = n + 1",
            "INSERT t",
        ),
        (
            "INSERT INTO t (a) VALUES (1) ON CONFLICT (a) DO UPDATE SET n = 1",
            "INSERT t",
        ),
        ("CREATE TABLE t (a INT REFERENCES u ON UPDATE CASCADE)", "CREATE t"),
        ("REPLACE INTO t (a) VALUES (1)", "REPLACE t"),
        ("SELECT a FROM t WHERE a IS DISTINCT FROM b", "SELECT t"),
        ("INSERT INTO t (a) SELECT n FROM generate_series(1, 2)", "INSERT t"),
    ] {
        let shown = show(statement, Postgres);
        assert_eq!(
            (shown.summary.as_str(), shown.collection.as_deref()),
            (summary, Some("t")),
            "{statement}"
        );
    }
}

#[test]
fn summaries() {
    for (statement, summary, collection) in [
        ("SELECT * FROM orders WHERE id = 1", "SELECT orders", Some("orders")),
        (
            "select a from shop.orders o join \"Customers\" c on true",
            "SELECT shop.orders Customers",
            None,
        ),
        ("INSERT INTO orders (a) VALUES (1)", "INSERT orders", Some("orders")),
        ("UPDATE orders SET a = 1", "UPDATE orders", Some("orders")),
        ("DELETE FROM orders", "DELETE orders", Some("orders")),
        (
            "CREATE TABLE IF NOT EXISTS orders (id INT)",
            "CREATE orders",
            Some("orders"),
        ),
        (
            "SELECT EXTRACT(year FROM created) FROM orders",
            "SELECT orders",
            Some("orders"),
        ),
        (
            "SELECT a.x FROM a, shop.b AS c, d e, f(1) WHERE x = 1 ORDER BY x, y",
            "SELECT a shop.b d",
            None,
        ),
        ("DROP TABLE a, b", "DROP a b", None),
        ("COPY t (a, b) FROM STDIN", "COPY t", Some("t")),
        ("COPY (SELECT a FROM t) TO STDOUT", "COPY t", Some("t")),
        ("TRUNCATE orders", "TRUNCATE orders", Some("orders")),
        ("TRUNCATE TABLE ONLY orders", "TRUNCATE orders", Some("orders")),
        ("LOAD DATA INFILE 'x' INTO TABLE t", "LOAD t", Some("t")),
        ("GRANT SELECT ON TABLE a TO b", "GRANT a", Some("a")),
        (
            "SELECT TRIM(BOTH FROM x), (SELECT substring(a from 2) FROM u), z FROM t",
            "SELECT u t",
            None,
        ),
        ("BEGIN", "BEGIN", None),
        ("", "", None),
    ] {
        let shown = show(statement, Postgres);
        assert_eq!(
            (shown.summary.as_str(), shown.collection.as_deref()),
            (summary, collection),
            "{statement}"
        );
    }
}

proptest! {
    #[test]
    fn no_text_breaks_it(text in "\\PC*", dialect in prop_oneof![Just(Postgres), Just(MySql), Just(Sqlite)]) {
        let shown = show(&text, dialect);
        prop_assert!(shown.text.len() <= MAX_TEXT && shown.summary.len() <= MAX_SUMMARY);
    }

    #[test]
    fn no_string_shows(
        value in "[a-z '\"$#/*\\-]{0,20}",
        dialect in prop_oneof![Just(Postgres), Just(MySql), Just(Sqlite)],
    ) {
        let escaped = value.replace('\'', "''");
        let escaped = if dialect == MySql { escaped.replace('\\', "\\\\") } else { escaped };
        let shown = show(&format!("SELECT a FROM t WHERE b = '{escaped}' AND c = 7"), dialect);
        prop_assert_eq!(shown.text, "SELECT a FROM t WHERE b = ? AND c = ?");
    }

    /// Texts and comments of every form, between whatever may stand beside them.
    #[test]
    fn nothing_quoted_shows(
        parts in proptest::collection::vec((0usize..8, 0usize..12, "[a-z '\"`$#/*\\\\\\-\n]{0,8}", "[a-z '\"`$#/*\\\\\\-]{0,8}"), 1..8),
        dialect in prop_oneof![Just(Postgres), Just(Cockroach), Just(Redshift), Just(MySql), Just(Sqlite)],
    ) {
        let mut statement = "SELECT a".to_owned();
        for (form, between, left, right) in parts {
            let value = format!("{left}SECRET{right}");
            let (doubled, escaped) = (value.replace('\'', "''"), value.replace('\\', "\\\\").replace('\'', "\\'"));
            let postgres = dialect.like_postgres();
            let backslashes = matches!(dialect, MySql | Redshift);
            let dollarless = value.replace('$', "");
            let text = match form {
                0 if postgres => format!("E'{escaped}'"),
                1 if postgres => format!("$${dollarless}$$"),
                2 if postgres => format!("$t${dollarless}$t$"),
                3 => format!("--  {}\n", value.replace('\n', "")),
                4 => format!("/* {} */", value.replace(['*', '/'], "")),
                5 if dialect == MySql => format!("\"{}\"", value.replace('\\', "\\\\").replace('"', "\"\"")),
                6 if dialect == Cockroach => format!("b'{escaped}'"),
                6 if dialect == MySql => format!("# {}\n", value.replace('\n', "")),
                _ if backslashes => format!("'{escaped}'"),
                _ => format!("'{doubled}'"),
            };
            // Never blanks alone: behind a new line an `E'…'` goes on.
            let beside = [" x ", "\nx\n", ",", "(", "=", "=-", "@@", " ?", "::", " a.b", "||", "+"][between];
            // Where a word or a sign could take the text's first letter for its own.
            let apart = if beside.ends_with(['b', '-', '@', ':', '?']) { " " } else { "" };
            statement = format!("{statement}{beside}{apart}{text}");
        }
        let shown = show(&statement, dialect);
        prop_assert!(!shown.text.contains("SECRET") && !shown.summary.contains("SECRET"), "{statement}: {}", shown.text);
        let last = show(&format!("{statement} , last"), dialect).text;
        prop_assert!(last.ends_with("last"), "{statement}: {last}");
    }

    #[test]
    fn no_dollar_string_shows(value in "[a-z '\"#/*\\-]{0,20}", tag in "[a-z]{0,3}") {
        let shown = show(&format!("SELECT ${tag}${value}${tag}$, b"), Postgres);
        prop_assert_eq!(shown.text, "SELECT ?, b");
    }

    #[test]
    fn showing_twice_changes_nothing(
        words in proptest::collection::vec("[a-z]{1,5}|'[a-z]{0,4}'|[0-9]{1,3}|[,().=]", 0..20),
    ) {
        let once = show(&words.join(" "), Postgres).text;
        prop_assert_eq!(&show(&once, Postgres).text, &once);
    }
}
