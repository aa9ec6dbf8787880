//! The rules of `db(…)` and `job`.

use proc_macro2::{Ident, Span};
use syn::{Expr, LitStr};

use super::signals::{Job, Said, no_option_twice};
use super::{Argument, Subject};
use crate::args::{Opt, Options, Value};
use crate::diag::Diagnostics;
use crate::model::{DbModel, JobModel, Messages, OperationModel};

/// The words by which people call a system, and those of the semantic conventions.
const SYSTEMS: &[(&str, &str)] = &[
    ("postgres", "postgresql"),
    ("pg", "postgresql"),
    ("sqlite3", "sqlite"),
    ("mssql", "microsoft.sql_server"),
    ("sqlserver", "microsoft.sql_server"),
    ("oracle", "oracle.db"),
    ("mongo", "mongodb"),
    ("elastic", "elasticsearch"),
    ("dynamodb", "aws.dynamodb"),
    ("redshift", "aws.redshift"),
    ("spanner", "gcp.spanner"),
    ("cockroach", "cockroachdb"),
];

/// Systems whose quotes the runtime knows, so that their statements can be shown without their values.
const QUOTES_KNOWN: &[&str] = &[
    "postgresql",
    "cockroachdb",
    "aws.redshift",
    "mysql",
    "mariadb",
    "sqlite",
];

pub(super) fn operation(
    said: &Said<'_>,
    job: Option<Job<'_>>,
    named: bool,
    subject: &Subject,
    diag: &mut Diagnostics,
) -> Option<OperationModel> {
    let own = said.own("db");
    // What the function says goes before what its block says; a kind that a statement can have leaves it one.
    let other = said.own("kind").and_then(word).is_some_and(|kind| !is_kind_of_db(kind));
    let db = own.or_else(|| said.option("db").filter(|_| !other));
    let (db, job) = match (db, job) {
        (Some(_), Some(job)) if own.is_none() && !job.block => (None, Some(job)),
        (Some(db), Some(job)) if own.is_some() && job.block => (Some(db), None),
        (Some(db), Some(job)) => {
            diag.error(
                &db.key,
                "a function is a job or one statement; keep one of `job` and `db`",
            );
            (None, Some(job))
        }
        one => one,
    };
    let operation = match (db, job) {
        (_, Some(job)) => OperationModel::Job(self::job(job.option, subject, diag)?),
        (Some(option), None) => OperationModel::Db(self::db(option, named, diag)?),
        (None, None) => return None,
    };
    kind(said, job, &operation, diag);
    Some(operation)
}

/// The kind as it is written: what a function does goes before the kind that its block says.
pub(super) fn written_kind<'a>(said: &Said<'a>, job: Option<Job<'_>>) -> Option<&'a Ident> {
    let option = match job {
        Some(_) => said.own("kind"),
        None => said
            .nearest(&["kind", "db"])
            .into_iter()
            .find(|option| option.row.name == "kind"),
    };
    word(option?)
}

fn word(option: &Opt) -> Option<&Ident> {
    match &option.value {
        Value::Word(word) => Some(word),
        _ => None,
    }
}

/// A database within the process is called, too.
fn is_kind_of_db(word: &Ident) -> bool {
    word == "client" || word == "internal"
}

/// The kind is said already.
fn kind(said: &Said<'_>, job: Option<Job<'_>>, operation: &OperationModel, diag: &mut Diagnostics) {
    let Some(word) = written_kind(said, job) else { return };
    match operation {
        OperationModel::Job(_) if word != "consumer" => {
            diag.error(word, "the span of a `job` is of kind consumer; leave `kind` out");
        }
        OperationModel::Db(_) if !is_kind_of_db(word) => {
            diag.error(word, "the span of a `db` call is of kind client; leave `kind` out");
        }
        _ => {}
    }
}

fn db(option: &Opt, named: bool, diag: &mut Diagnostics) -> Option<DbModel> {
    let Value::Nested(options) = &option.value else {
        return None;
    };
    no_option_twice(options, diag);
    let mut text = |name: &str| text(options, name, diag);
    let (system, operation) = (text("system"), text("operation"));
    let (collection, namespace) = (text("collection"), text("namespace"));
    let query = expr(options, "query");
    let Some(system) = system else {
        // A misspelled one is told already.
        if options.find("system").is_none() && diag.is_empty() {
            diag.error(
                &option.key,
                "`db` needs a system; write `db(system = \"postgresql\", query = sql)`",
            );
        }
        return None;
    };
    let written = system.value();
    let spelled = SYSTEMS.iter().find(|(word, _)| written.eq_ignore_ascii_case(word));
    if let Some((_, spelled)) = spelled {
        diag.error(
            &system,
            format!("`{written}` is `{spelled}` in the semantic conventions; write `system = \"{spelled}\"`"),
        );
    } else if let Some(query) = options.find("query")
        && !QUOTES_KNOWN.contains(&&*written)
    {
        let message = format!(
            "how `{written}` quotes is not known here, so its statements cannot be shown without their values; write `operation = \"…\", \
             collection = \"…\"`"
        );
        diag.error(&query.key, message);
    }
    Some(DbModel {
        system,
        operation,
        collection,
        namespace,
        query,
        named,
    })
}

fn job(option: &Opt, subject: &Subject, diag: &mut Diagnostics) -> Option<JobModel> {
    let (name, options) = match &option.value {
        Value::Text(name) => (non_empty(name, "job = \"send_mail\"`", "job", diag), None),
        Value::Nested(options) => {
            if options.find("name").is_none() && diag.is_empty() {
                diag.error(&option.key, "`job` needs a name; write `job(name = \"send_mail\")`");
            }
            (text(options, "name", diag), Some(options))
        }
        _ => return None,
    };
    let mut more = |name: &str| text(options?, name, diag);
    let (system, queue) = (more("system"), more("queue"));
    let name = name?;
    Some(JobModel {
        queue: queue.unwrap_or_else(|| name.clone()),
        name,
        system,
        messages: match options.and_then(|options| expr(options, "message")) {
            Some(message) => Messages::Of(message),
            None => Messages::Among(subject.arguments.iter().map(Argument::given).collect()),
        },
    })
}

fn text(options: &Options, name: &str, diag: &mut Diagnostics) -> Option<LitStr> {
    let option = options.find(name)?;
    match &option.value {
        Value::Text(text) => {
            let or = if option.row.default == "required" {
                ""
            } else {
                " or leave it out"
            };
            non_empty(text, &format!("{}`{or}", option.row.write), name, diag)
        }
        _ => None,
    }
}

fn non_empty(text: &LitStr, write: &str, name: &str, diag: &mut Diagnostics) -> Option<LitStr> {
    if text.value().trim().is_empty() {
        diag.error(text, format!("`{name}` is empty; write `{write}"));
        return None;
    }
    Some(text.clone())
}

fn expr(options: &Options, name: &str) -> Option<Expr> {
    match &options.find(name)?.value {
        Value::Expr(expr) => Some(expr.clone()),
        _ => None,
    }
}

/// What the span is called unless it is said: by the conventions the operation and its target, else what is known of them.
pub(super) fn span_name(operation: &OperationModel) -> LitStr {
    let name = match operation {
        OperationModel::Job(job) => format!("process {}", job.queue.value()),
        OperationModel::Db(db) => {
            let target = db.collection.as_ref().or(db.namespace.as_ref()).map(LitStr::value);
            match (db.operation.as_ref().map(LitStr::value), target) {
                (Some(operation), Some(target)) => format!("{operation} {target}"),
                (Some(one), None) | (None, Some(one)) => one,
                (None, None) => db.system.value(),
            }
        }
    };
    LitStr::new(&name, Span::mixed_site())
}

pub(super) fn span_kind(operation: &OperationModel) -> Ident {
    let kind = match operation {
        OperationModel::Job(_) => "Consumer",
        OperationModel::Db(_) => "Client",
    };
    Ident::new(kind, Span::mixed_site())
}
