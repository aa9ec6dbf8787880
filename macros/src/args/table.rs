//! Every option of every attribute, once.
//!
//! The parser looks names and forms up here, the attributes' documentation prints these rows, and the completeness
//! test of `ui-tests` includes this file and asks for a pass case, a fail case and an example line per row. So it
//! depends on nothing.

/// How an option's value is written.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Form {
    /// `root`
    Flag,
    /// `name = "…"`
    Text,
    /// `when = expr`
    Expr,
    /// `kind = server`: one of these words
    Word(&'static [&'static str]),
    /// `level = "info"` or `level = Level::INFO`
    Level,
    /// `check = path::to::function`
    Path,
    /// `critical = false`
    Bool,
    /// `failures = 3`
    Count,
    /// `skip(a, b)`
    Names,
    /// `fields(…)`
    Fields,
    /// `labels(…)`
    Labels,
    /// `ret`, `ret(display)`
    Ret,
    /// `err(debug)`, `err(off)`, `err(level = "warn")`
    Err,
    /// `buckets = [0.1, 1.0]`
    Floats,
    /// `exponential(start, factor, count)`
    Exponential,
    /// The options of another attribute in parentheses.
    Nested(Attr),
    /// `job = "…"`, or `job(name = "…", …)` for more.
    TextOrNested(Attr),
}

/// The attributes that take options.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Attr {
    Traced,
    Counted,
    Timed,
    Observed,
    HealthCheck,
    Check,
    Health,
    /// `db(…)` in `traced`.
    Db,
    /// `job(…)` in `observed`.
    Job,
}

/// One row: an option of an attribute.
#[derive(Clone, Copy, Debug)]
pub struct Row {
    pub name: &'static str,
    pub form: Form,
    /// A form that can be pasted.
    pub write: &'static str,
    pub default: &'static str,
    pub meaning: &'static str,
}

/// Defines groups of rows and, from the same lines, a macro with their part of a table in Markdown.
macro_rules! groups {
    ($($rows:ident $docs:ident { $($name:literal $form:expr, $write:literal, $default:literal, $meaning:literal;)* })*) => {
        $(
            const $rows: &[Row] = &[$(
                Row { name: $name, form: $form, write: $write, default: $default, meaning: $meaning },
            )*];

            macro_rules! $docs {
                () => { concat!($("| `", $write, "` | ", $default, " | ", $meaning, " |\n",)*) };
            }
        )*
    };
}

/// Puts groups together to the rows of each attribute, and a macro with their whole table.
macro_rules! tables {
    ($($rows:ident $docs:ident = $($group:ident $group_docs:ident),+;)*) => {
        $(
            pub const $rows: &[Row] = &joined::<{ 0 $(+ $group.len())+ }>(&[$($group),+]);

            #[allow(unused_macros)]
            macro_rules! $docs {
                () => { concat!("| option | default | meaning |\n|---|---|---|\n", $($group_docs!(),)+) };
            }
        )*
    };
}

const fn joined<const N: usize>(groups: &[&[Row]]) -> [Row; N] {
    let mut rows = [groups[0][0]; N];
    let (mut at, mut group) = (0, 0);
    while group < groups.len() {
        let mut row = 0;
        while row < groups[group].len() {
            rows[at] = groups[group][row];
            (at, row) = (at + 1, row + 1);
        }
        group += 1;
    }
    rows
}

groups! {
    OUTCOME outcome_rows {
        "ok_if" Form::Expr, "ok_if = |ret| ret.is_empty()", "by type", "true for a returned value that is no error";
        "error_if" Form::Expr, "error_if = Option::is_none", "by type", "true for a returned value that is an error";
    }
    CRATE crate_rows {
        "crate" Form::Path, "crate = ::vitalsign", "`::vitalsign`", "where this crate is found when it is renamed";
    }
    PROBES probe_rows {
        "liveness" Form::Flag, "liveness", "off", "part of `/livez`";
        "readiness" Form::Flag, "readiness", "on unless another is named", "part of `/readyz`";
        "startup" Form::Flag, "startup", "off", "part of `/startupz`";
    }
    SCHEDULE schedule_rows {
        "timeout" Form::Text, "timeout = \"2s\"", "5s", "then it is Down";
        "cache" Form::Text, "cache = \"1s\"", "1s", "run on demand, one flight for all callers, kept that long";
        "interval" Form::Text, "interval = \"10s\"", "–", "run in the background instead";
        "critical" Form::Bool, "critical = false", "true", "false makes a failure Degraded";
        "failures" Form::Count, "failures = 3", "1", "failures in a row before it counts as failed";
        "successes" Form::Count, "successes = 2", "1", "successes in a row before it counts as healthy again";
    }
    BLOCKING blocking_rows {
        "blocking" Form::Flag, "blocking", "off", "sync code that blocks: run on a thread of its own";
    }
    OF_TRACED traced_rows {
        "name" Form::Text, "name = \"place order\"", "the function's name", "span name, of low cardinality";
        "target" Form::Text, "target = \"orders\"", "the module's path", "as in `tracing`";
        "level" Form::Level, "level = \"debug\"", "info", "as in `tracing`; `Level::DEBUG` too";
        "kind" Form::Word(&["server", "client", "producer", "consumer", "internal"]), "kind = server", "internal", "the OpenTelemetry span kind: server, client, producer, consumer, internal";
        "fields" Form::Fields, "fields(order.id = %id)", "none", "`x`, `%x` (Display), `?x` (Debug), `key = expr`, `a.b = %expr`, `key` alone (empty, recorded later); wrappers `hash(x)`, `redact(x)`, `truncate(x, 16)`, `len(x)`, `plain(x)`";
        "args" Form::Flag, "args", "off", "record every argument: native types as they are, else by Debug, else the type's name";
        "skip" Form::Names, "skip(password, body)", "none", "arguments that `args` leaves out";
        "ret" Form::Ret, "ret(display)", "off", "record the returned (`Ok`) value: `ret`, `ret(debug)` or `ret(display)`";
        "err" Form::Err, "err(level = \"warn\")", "by type, at error", "how an error is recorded: `err(debug)`, `err(off)`, `err(level = \"warn\")`";
        "parent" Form::Expr, "parent = &request", "the current span", "a `SpanContext`, a `tracing::Span` or a carrier";
        "root" Form::Flag, "root", "off", "begin a new trace";
        "link" Form::Expr, "link = message.context()", "none", "one link or an iterator of them";
        "when" Form::Expr, "when = id.is_public()", "always", "no span where this is false";
        "stream" Form::Flag, "stream", "off", "for `-> impl Stream` and boxed ones: the span lives as long as the stream; `stream.items` are counted, `stream.time_to_first_item` is in seconds; an item that is an error ends it as one";
        "db" Form::Nested(Attr::Db), "db(system = \"postgresql\", query = sql)", "–", "a client span by the database conventions, and `db.client.operation.duration`";
    }
    OF_COUNTED counted_rows {
        "name" Form::Text, "name = \"orders.placed\"", "`function.calls`", "the OpenTelemetry name; the metrics page shows `orders_placed_total`";
        "help" Form::Text, "help = \"Orders placed.\"", "first line of the doc comment", "what is counted";
        "labels" Form::Labels, "labels(channel = channel)", "none", "`k = expr`, `k: Type = expr` from the arguments on entry; `k = \\|ret\\| expr` from the returned value";
        "by" Form::Expr, "by = items.len()", "1", "the amount: rows, bytes, items; `by = \\|ret\\| expr` from the returned value";
        "unit" Form::Text, "unit = \"By\"", "`{call}`", "the UCUM unit";
        "in_flight" Form::Flag, "in_flight", "off", "also a gauge of the calls now running";
        "outcome" Form::Word(&["off"]), "outcome = off", "on", "no `outcome` label";
    }
    OF_TIMED timed_rows {
        "name" Form::Text, "name = \"orders.latency\"", "`function.duration`", "the OpenTelemetry name; the metrics page adds `_seconds`";
        "help" Form::Text, "help = \"Time to place an order.\"", "first line of the doc comment", "what is timed";
        "labels" Form::Labels, "labels(channel = channel)", "none", "as for `counted`";
        "buckets" Form::Floats, "buckets = [0.01, 0.1, 1.0]", "those of HTTP in the semantic conventions", "upper bounds in seconds";
        "exponential" Form::Exponential, "exponential(0.001, 2.0, 12)", "–", "buckets from a start, a factor and a count";
        "native" Form::Flag, "native", "off", "a native (exponential) histogram";
        "busy" Form::Flag, "busy", "off", "only the time spent being polled";
        "exemplars" Form::Word(&["off"]), "exemplars = off", "on", "no exemplars";
    }
    OF_OBSERVED observed_rows {
        "name" Form::Text, "name = \"checkout\"", "the function's name, default families", "span `checkout`, counter `checkout.calls`, histogram `checkout.duration`";
        "traced" Form::Nested(Attr::Traced), "traced(kind = server)", "–", "options of `traced`";
        "counted" Form::Nested(Attr::Counted), "counted(in_flight)", "–", "options of `counted`";
        "timed" Form::Nested(Attr::Timed), "timed(busy)", "–", "options of `timed`";
        "job" Form::TextOrNested(Attr::Job), "job = \"send_mail\"", "–", "for workers: a consumer span linked to the sender's, attempts, queue wait, run time, jobs in flight; `job(…)` says more";
    }
    OF_HEALTH_CHECK health_check_rows {
        "name" Form::Text, "name = \"orders-db\"", "the function's name", "its name in the answers";
    }
    OF_CHECK check_rows {
        "name" Form::Text, "name = \"ping\"", "the method's name", "its name below the block's";
    }
    OF_HEALTH health_rows {
        "name" Form::Text, "name = \"db\"", "the field's name", "its name below the struct's";
    }
    OF_FIELD field_rows {
        "blocking" Form::Flag, "blocking", "off", "with `check`: a plain `fn` that blocks";
        "check" Form::Path, "check = ping", "the field's `HealthCheck`", "an `async fn(&Field)` that checks it";
        "skip" Form::Flag, "skip", "off", "no check of this field";
    }
    OF_DB db_rows {
        "system" Form::Text, "system = \"postgresql\"", "required", "`db.system.name`, as the semantic conventions spell it";
        "operation" Form::Text, "operation = \"SELECT\"", "by `query`", "`db.operation.name`";
        "collection" Form::Text, "collection = \"orders\"", "by `query`", "`db.collection.name`: the table";
        "namespace" Form::Text, "namespace = \"shop\"", "none", "`db.namespace`: the database";
        "query" Form::Expr, "query = sql", "none", "the SQL: shown without its values, its summary names the span";
    }
    OF_JOB job_rows {
        "name" Form::Text, "name = \"send_mail\"", "required", "`job.name`";
        "system" Form::Text, "system = \"redis\"", "`in_process`", "`messaging.system`";
        "queue" Form::Text, "queue = \"mails\"", "the job's name", "`messaging.destination.name`; the span is called `process mails`";
        "message" Form::Expr, "message = envelope.headers", "the arguments that are one", "a `jobs::Message`: a `Job`, headers, a `SpanContext`";
    }
}

tables! {
    TRACED traced_options = OF_TRACED traced_rows, OUTCOME outcome_rows, CRATE crate_rows;
    COUNTED counted_options = OF_COUNTED counted_rows, OUTCOME outcome_rows, CRATE crate_rows;
    TIMED timed_options = OF_TIMED timed_rows, OUTCOME outcome_rows, CRATE crate_rows;
    OBSERVED observed_options = OF_OBSERVED observed_rows, OUTCOME outcome_rows, CRATE crate_rows;
    HEALTH_CHECK health_check_options = PROBES probe_rows, OF_HEALTH_CHECK health_check_rows, SCHEDULE schedule_rows,
        BLOCKING blocking_rows, CRATE crate_rows;
    CHECK check_options = PROBES probe_rows, OF_CHECK check_rows, SCHEDULE schedule_rows, BLOCKING blocking_rows;
    HEALTH health_options = PROBES probe_rows, OF_HEALTH health_rows, SCHEDULE schedule_rows, OF_FIELD field_rows;
    DB db_options = OF_DB db_rows;
    JOB job_options = OF_JOB job_rows;
}

/// The attributes as a user names them, with their rows.
pub const ALL: &[(Attr, &str, &[Row])] = &[
    (Attr::Traced, "traced", TRACED),
    (Attr::Counted, "counted", COUNTED),
    (Attr::Timed, "timed", TIMED),
    (Attr::Observed, "observed", OBSERVED),
    (Attr::HealthCheck, "health_check", HEALTH_CHECK),
    (Attr::Check, "check", CHECK),
    (Attr::Health, "health", HEALTH),
    (Attr::Db, "db", DB),
    (Attr::Job, "job", JOB),
];

impl Attr {
    /// The name in `#[name(…)]`.
    pub fn name(self) -> &'static str {
        self.entry().1
    }

    pub fn rows(self) -> &'static [Row] {
        self.entry().2
    }

    /// The options that carry the name of the attribute they belong to.
    fn entry(self) -> &'static (Attr, &'static str, &'static [Row]) {
        // Each variant stands in ALL at its own place; the unit test below holds that.
        &ALL[self as usize]
    }
}
