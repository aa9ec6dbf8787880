//! No option without a case that compiles, one that is refused, a line in the docs and one in an example.

#![allow(
    dead_code,
    unreachable_pub,
    reason = "the table is the macros' own, and they use more of it"
)]

#[path = "../../macros/src/args/table.rs"]
#[macro_use]
mod table;

use std::fmt::Write as _;
use std::fs;
use table::{ALL, Attr, Row};

#[test]
fn every_option_has_cases_docs_and_an_example() {
    let mut missing = String::new();
    for (attr, name, rows) in ALL {
        assert_eq!(attr.name(), *name, "the table's order is that of `Attr`");
        let (pass, examples) = (pass_cases(*attr), examples(*attr));
        for Row { name: option, .. } in *rows {
            if !word(&pass, option) {
                writeln!(missing, "{name}: no pass case with `{option}`").unwrap();
            }
            if !has_fail_case(*attr, name, option) {
                writeln!(missing, "{name}: no fail case of `{option}`").unwrap();
            }
            if !word(&examples, option) {
                writeln!(missing, "{name}: no example line with `{option}`").unwrap();
            }
        }
    }
    assert!(missing.is_empty(), "{missing}");
}

#[test]
fn the_docs_show_every_row() {
    let docs = [
        (Attr::Traced, traced_options!()),
        (Attr::Counted, counted_options!()),
        (Attr::Timed, timed_options!()),
        (Attr::Observed, observed_options!()),
        (Attr::HealthCheck, health_check_options!()),
        (Attr::Check, check_options!()),
        (Attr::Health, health_options!()),
        (Attr::Db, db_options!()),
        (Attr::Job, job_options!()),
    ];
    for (attr, table) in docs {
        let entry = fs::read_to_string("../macros/src/lib.rs").unwrap();
        assert!(entry.contains(&format!("#[doc = {}_options!()]", attr.name())));
        for row in attr.rows() {
            assert!(table.contains(row.write), "{}: {}", attr.name(), row.name);
            assert!(row.write.starts_with(row.name), "{}: {}", attr.name(), row.name);
        }
    }
}

fn topic(attr: Attr) -> &'static str {
    match attr {
        Attr::HealthCheck | Attr::Check | Attr::Health => "health",
        _ => "options",
    }
}

/// The lines of the attribute in its topic's pass cases.
fn pass_cases(attr: Attr) -> String {
    let file = match attr {
        Attr::HealthCheck | Attr::Check | Attr::Health => "checks",
        Attr::Db => "traced",
        Attr::Job => "observed",
        _ => attr.name(),
    };
    attributes(
        &fs::read_to_string(format!("{}/pass/{file}.rs", topic(attr))).unwrap(),
        attr,
    )
}

fn has_fail_case(attr: Attr, name: &str, option: &str) -> bool {
    let begins = format!("{name}_{option}__");
    fs::read_dir(format!("{}/fail", topic(attr)))
        .unwrap()
        .any(|entry| entry.unwrap().file_name().to_string_lossy().starts_with(&begins))
}

/// The lines of the attribute in the examples of the attributes' docs.
fn examples(attr: Attr) -> String {
    let docs = fs::read_to_string("../macros/src/lib.rs").unwrap();
    let lines: Vec<&str> = docs.lines().filter_map(|line| line.strip_prefix("/// ")).collect();
    attributes(&lines.join("\n"), attr)
}

/// Everything within `#[name(…)]`, over lines; `db(…)` and `job(…)` stand within another attribute.
fn attributes(source: &str, attr: Attr) -> String {
    let begin = match attr {
        Attr::Db | Attr::Job => format!("{}(", attr.name()),
        _ => format!("#[{}(", attr.name()),
    };
    let mut found = String::new();
    for (at, _) in source.match_indices(&begin) {
        let rest = &source[at + begin.len()..];
        let mut depth = 1;
        let end = rest
            .char_indices()
            .find(|(_, char)| {
                depth += match char {
                    '(' => 1,
                    ')' => -1,
                    _ => 0,
                };
                depth == 0
            })
            .map_or(rest.len(), |(end, _)| end);
        found.push_str(&rest[..end]);
        found.push('\n');
    }
    found
}

fn word(text: &str, word: &str) -> bool {
    text.split(|char: char| !char.is_alphanumeric() && char != '_')
        .any(|part| part == word)
}
