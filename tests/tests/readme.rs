//! What the README shows is so: its program is the example, its tables are those of the code, its commands run. Its Rust blocks are
//! compiled as documentation tests of this package.

#![allow(clippy::format_push_string, reason = "tables of a page, written once")]

use std::collections::BTreeMap;
use std::io::{BufRead as _, BufReader, Write as _};
use std::path::Path;
use std::process::{Child, ChildStdout, Command, Stdio};
use std::time::Duration;
use tests::process::{Process, build, workspace};
use tests::server::Folder;

#[path = "../../benches/src/load/programs.rs"]
mod programs;
#[allow(dead_code, unused_macros)]
#[path = "../../macros/src/args/table.rs"]
mod table;

fn read(path: &str) -> String {
    std::fs::read_to_string(workspace().join(path)).unwrap_or_else(|error| panic!("{path}: {error}"))
}

fn readme() -> String {
    read("README.md")
}

/// The blocks of a language.
fn blocks(language: &str) -> Vec<String> {
    let fence = format!("```{language}\n");
    let readme = readme();
    let blocks = readme.split(&fence).skip(1).filter_map(|rest| rest.split("```").next());
    blocks.map(str::to_owned).collect()
}

/// The commands of all `console` blocks.
fn commands() -> Vec<String> {
    let blocks = blocks("console");
    let lines = blocks.iter().flat_map(|block| block.lines());
    lines
        .filter_map(|line| line.strip_prefix("$ "))
        .map(str::to_owned)
        .collect()
}

/// What must stand between two marks; with `VITALSIGN_BLESS=1` it is written there.
fn section(name: &str, expected: &str) {
    let (open, close) = (format!("<!-- {name} -->\n"), format!("<!-- /{name} -->"));
    let readme = readme();
    let (before, rest) = readme.split_once(&open).expect("the section begins");
    let (found, after) = rest.split_once(&close).expect("the section ends");
    if found != expected && std::env::var("VITALSIGN_BLESS").is_ok_and(|value| value == "1") {
        let text = format!("{before}{open}{expected}{close}{after}");
        std::fs::write(workspace().join("README.md"), text).expect("the README can be written");
        return;
    }
    assert_eq!(found, expected, "VITALSIGN_BLESS=1 writes it");
}

#[test]
fn the_program_is_the_example() {
    let example = read("examples/minimal/src/main.rs");
    let program = blocks("rust").into_iter().next().expect("a program");
    assert_eq!(
        example.trim_start_matches("//! The README's program.\n").trim_start(),
        program
    );
}

#[test]
fn the_program_runs_without_a_collector() {
    let output = Command::new(build("minimal"))
        .env("VITALSIGN_ADMIN", "127.0.0.1:0")
        .env_remove("OTEL_EXPORTER_OTLP_ENDPOINT")
        .output()
        .expect("it starts");
    let lines = String::from_utf8_lossy(&output.stdout);
    assert!(
        output.status.success(),
        "{lines}\n{}",
        String::from_utf8_lossy(&output.stderr)
    );
    assert_eq!(lines.matches("grinding").count(), 2, "{lines}");
    assert_eq!(lines.matches("no collector").count(), 1, "{lines}");
}

#[test]
fn the_option_tables_are_those_of_the_parser() {
    let mut text = String::new();
    for (_, name, rows) in table::ALL {
        // The options of a method's and of a field's check are those of a function's.
        if *name == "check" {
            continue;
        }
        let title = match *name {
            "health_check" => "#[health_check(…)]` on a function, `#[check(…)]` on the methods of an `impl` under it",
            "health" => "#[derive(HealthCheck)]` on a struct, `#[health(…)]` on its fields",
            "db" => "#[traced(db(…))]`",
            "job" => "#[observed(job(…))]`, or for the name alone `#[observed(job = \"send_mail\")]`",
            other => other,
        };
        let title = if title == *name {
            format!("`#[{name}(…)]`")
        } else {
            format!("`{title}")
        };
        text += &format!("### {title}\n\n| option | default | meaning |\n|---|---|---|\n");
        for row in *rows {
            text += &format!(
                "| `{}` | {} | {} |\n",
                row.write.replace('|', "\\|"),
                row.default,
                row.meaning
            );
        }
        text += "\n";
    }
    section("options", &text);
}

#[test]
fn the_feature_table_is_that_of_the_manifest() {
    let manifest = read("runtime/Cargo.toml");
    let features = manifest
        .split_once("[features]\n")
        .and_then(|(_, rest)| rest.split_once("\n["))
        .expect("features")
        .0;
    let mut text = String::from("| feature | |\n|---|---|\n");
    let (mut meaning, mut default) = (String::new(), String::new());
    for line in features.lines() {
        if let Some(comment) = line.strip_prefix("# ") {
            meaning = comment.to_owned();
        } else if let Some((name, value)) = line.split_once(" = ") {
            if name == "default" {
                default = value.to_owned();
            } else if !name.starts_with('_') {
                assert!(!meaning.is_empty(), "{name} has no comment");
                let on = if default.contains(&format!("\"{name}\"")) {
                    " (default)"
                } else {
                    ""
                };
                text += &format!("| `{name}`{on} | {meaning} |\n");
            }
            meaning.clear();
        }
    }
    section("features", &text);
}

/// How each command is tested.
enum Tested {
    /// Here, to its end.
    Runs,
    /// Here, until it has started.
    Starts,
    /// By CI, as a step or as the command that runs this test.
    ByCi,
    /// In its quick form, by `cargo test`: the program takes these words, and has a quick form.
    Shorter,
    /// By `cargo test`, which replays the inputs of that target; the fuzzer makes new ones.
    Replayed,
}

#[test]
fn every_command_is_known_here() {
    let how = BTreeMap::from([
        ("cargo run", Tested::Starts),
        ("cargo test --workspace", Tested::ByCi),
        ("cargo run -p minimal --no-default-features", Tested::Runs),
        ("cargo run -p benches --bin crates", Tested::Runs),
        ("cargo run -p benches --bin identity", Tested::Runs),
        ("cargo run -p benches --bin future_size", Tested::Runs),
        ("cargo run -p benches --bin compile_time -- --quick", Tested::Runs),
        // The peers are too much to build for a test of every day.
        (
            "cargo run -p benches --features peers --bin calls -- --quick",
            Tested::ByCi,
        ),
        (
            "cargo run --release -p benches --bin outage -- --minutes 5",
            Tested::Shorter,
        ),
        (
            "cargo run --release -p benches --bin kills -- --times 200",
            Tested::Shorter,
        ),
        (
            "cargo run --release -p benches --bin soak -- --minutes 60",
            Tested::Shorter,
        ),
        ("cargo +nightly fuzz run spool", Tested::Replayed),
    ]);
    for command in commands() {
        match how.get(command.as_str()) {
            None => panic!("{command}: say in this test how it is tested"),
            Some(Tested::Runs) => runs(&command),
            Some(Tested::Starts) => starts(&command),
            Some(Tested::Shorter) => shorter(&command),
            Some(Tested::Replayed) => replayed(&command),
            Some(Tested::ByCi) => assert!(read(".ci/run").contains(&command), "{command} is CI's"),
        }
    }
}

fn in_workspace(command: &str) -> Command {
    let mut words = command.split(' ');
    assert_eq!(words.next(), Some("cargo"));
    let mut cargo = Command::new(env!("CARGO"));
    cargo.args(words).current_dir(workspace()).stdin(Stdio::null());
    cargo
}

fn runs(command: &str) {
    let output = in_workspace(command).output().expect("cargo runs");
    assert!(
        output.status.success(),
        "{command}: {}",
        String::from_utf8_lossy(&output.stderr)
    );
}

fn shorter(command: &str) {
    let (_, words) = command.split_once("--bin ").expect("a program");
    let (name, arguments) = words.split_once(" -- ").expect("its arguments");
    let program = programs::Program::named(name).unwrap_or_else(|| panic!("{name} is no program of endurance"));
    program.understands(arguments.split(' ')).expect(command);
    assert!(
        !program.quick.is_empty(),
        "{name} has a quick form, which benches/tests/endurance.rs runs"
    );
}

/// A target of `fuzz/` whose corpus is not empty; that each is replayed, a test beside those functions says.
fn replayed(command: &str) {
    let target = command.rsplit(' ').next().expect("a target");
    assert!(
        read("fuzz/Cargo.toml").contains(&format!("\nname = \"{target}\"\n")),
        "{target}"
    );
    let corpus = std::fs::read_dir(workspace().join("fuzz/corpus").join(target)).expect(target);
    assert!(corpus.count() > 0, "{target}");
}

/// It shows where to look, and within a minute the tree of an order.
fn starts(command: &str) {
    let mut command = in_workspace(command);
    command
        .env("OTEL_BSP_SCHEDULE_DELAY", "500")
        .env_remove("OTEL_EXPORTER_OTLP_ENDPOINT");
    // In a group of its own, so that it can be ended as a terminal ends it: cargo and the service both.
    std::os::unix::process::CommandExt::process_group(&mut command, 0);
    let mut process = Process::start(&mut command);
    process.line("page", Duration::from_secs(300), |line| {
        line.ends_with("/metrics").then_some(())
    });
    process.line("tree", Duration::from_secs(60), |line| {
        line.contains("└ POST /items/{item}/take").then_some(())
    });
    let group = format!("-{}", process.id());
    let _ = Command::new("kill").args(["-INT", "--", &group]).status();
    assert!(
        process.wait(Duration::from_secs(30)).success(),
        "{:#?}",
        process.lines()
    );
}

/// Each step of the walk works, and the trace that the metrics page names is the one in the tree and in the log.
#[test]
fn one_request_can_be_followed() {
    let mut command = Command::new(build("orders"));
    command
        .args(["--quiet", "--port", "0"])
        .env("VITALSIGN_ADMIN", "127.0.0.1:0")
        .env("VITALSIGN_LOG_FORMAT", "json")
        .env_remove("REDIS_URL")
        .env_remove("RUST_LOG")
        .env_remove("OTEL_EXPORTER_OTLP_ENDPOINT");
    let shop = Process::start(&mut command);
    let limit = Duration::from_secs(60);
    let address = |ending: &str| {
        shop.line(ending, limit, |line| {
            let mut words = line.split_whitespace();
            (words.next() == Some("orders")).then_some(())?;
            words.next()?.strip_suffix(ending).map(str::to_owned)
        })
    };
    let (orders, admin) = (address("/orders"), address("/metrics"));
    tests::wait_for("the shop to be ready", limit, || {
        let answer = tests::http::get(&format!("{admin}/readyz")).ok()?;
        (answer.status == 200).then_some(())
    });
    let folder = Folder::new();
    let mut terminal = Terminal::start(folder.path());
    let block = blocks("sh").remove(0);
    let mut shown = Vec::new();
    for step in block.lines() {
        if step.contains("shop.log") {
            // As `tee` has it; the line comes after the answer.
            shop.line("the order's line", limit, |line| {
                line.contains("order placed").then_some(())
            });
            std::fs::write(folder.path().join("shop.log"), shop.lines().join("\n") + "\n").expect("a file");
        }
        let here = step
            .replace("http://127.0.0.1:3000", orders.as_str())
            .replace("http://127.0.0.1:9464", &admin);
        let text = terminal.run(&here);
        assert!(!text.is_empty(), "{step} says nothing, after {shown:#?}");
        shown.push(text);
    }
    let [order, counter, id, tree, lines, metrics, probe] = &shown[..] else {
        panic!("seven steps, as the text has it: {shown:#?}")
    };
    assert!(order.contains("\"id\":") && order.contains("x-request-id: "), "{order}");
    assert!(counter.contains("outcome=\"ok\"} 1"), "{counter}");
    assert_eq!(id.trim().len(), 32, "{id}");
    for span in [
        "POST /orders",
        "POST /items/{item}/take",
        "Store::insert",
        "send_confirmation",
    ] {
        assert!(tree.contains(span), "{span} in {tree}");
    }
    assert!(
        lines.contains("order placed") && lines.contains("/items/cup/take"),
        "{lines}"
    );
    for family in ["http_server", "db_client_operation_duration", "job_attempts_total"] {
        assert!(metrics.contains(family), "{family} in {metrics}");
    }
    assert!(probe.contains("shop.stock"), "{probe}");
}

/// A shell to type into.
struct Terminal {
    shell: Child,
    said: BufReader<ChildStdout>,
}

impl Terminal {
    fn start(folder: &Path) -> Self {
        let mut shell = Command::new("sh")
            .current_dir(folder)
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .spawn()
            .expect("a shell");
        let said = BufReader::new(shell.stdout.take().expect("a pipe"));
        Self { shell, said }
    }

    /// What the command says.
    fn run(&mut self, command: &str) -> String {
        const END: &str = "== end ==";
        let stdin = self.shell.stdin.as_mut().expect("a pipe");
        writeln!(stdin, "{command}\necho; echo '{END}'").expect("the shell lives");
        let mut text = String::new();
        loop {
            let mut line = String::new();
            assert!(
                self.said.read_line(&mut line).expect("text") > 0,
                "the shell has ended: {text}"
            );
            if line.trim_end() == END {
                return text.trim().to_owned();
            }
            text += &line;
        }
    }
}

impl Drop for Terminal {
    fn drop(&mut self) {
        let _ = self.shell.kill();
        let _ = self.shell.wait();
    }
}

/// What the example says to someone who writes something else.
#[test]
fn the_example_tells_its_options() {
    let orders = |arguments: &[&str]| {
        let output = Command::new(build("orders"))
            .args(arguments)
            .output()
            .expect("it starts");
        let text = |bytes: Vec<u8>| String::from_utf8_lossy(&bytes).into_owned();
        (output.status.code(), text(output.stdout), text(output.stderr))
    };
    let (code, said, _) = orders(&["--help"]);
    assert!(
        code == Some(0) && said.contains("usage: orders") && said.contains("--database FILE"),
        "{said}"
    );
    for wrong in [&["--loud"][..], &["--port", "many"], &["--port"], &["--database"]] {
        let (code, _, said) = orders(wrong);
        assert_eq!(code, Some(2), "{said}");
        assert!(
            said.starts_with(&format!("orders: {}", wrong[0])) && said.contains("usage: orders"),
            "{said}"
        );
    }
}

/// The right-hand columns of the tables "Coming from …", row by row.
mod coming_from {
    #![allow(
        dead_code,
        unused_variables,
        reason = "what is looked at is what the attributes record"
    )]

    use std::collections::HashMap;
    use vitalsign::testing::{Status, capture};
    use vitalsign::trace::{SpanContext, SpanId, TraceFlags, TraceId};
    use vitalsign::{ErrorLabel, LabelValue, SpanExt as _, counted, observed, timed, traced};

    #[traced(args)]
    fn everything(id: u64, body: &str) {}

    #[traced(args, skip(body))]
    fn all_but_one(id: u64, body: &str) {}

    #[traced(name = "the name", target = "shop", level = "debug", fields(order.id = id))]
    fn named(id: u64) {}

    #[traced(parent = headers)]
    fn below(headers: HashMap<String, String>) {}

    #[traced(root)]
    fn on_its_own() {}

    #[traced(link = causes)]
    fn after(causes: Vec<SpanContext>) {}

    #[traced(ret)]
    fn returns() -> Result<u32, String> {
        Ok(7)
    }

    #[traced(ret(display))]
    fn displays() -> char {
        'x'
    }

    #[traced]
    fn fails() -> Result<(), String> {
        Err("no".to_owned())
    }

    #[traced(err(off))]
    fn fails_quietly() -> Result<(), String> {
        fails()
    }

    #[traced(err(debug))]
    fn fails_in_debug() -> Result<(), Option<u8>> {
        Err(Some(1))
    }

    #[tracing::instrument(fields(later = tracing::field::Empty))]
    fn instrumented() {
        tracing::Span::current().record("later", 1);
        vitalsign::current().set("undeclared", 2);
        tracing::Span::current().set_attribute("by hand", 3);
        on_its_own();
        returns().expect("seven");
    }

    #[test]
    fn instrument() {
        let capture = capture();
        everything(1, "text");
        all_but_one(2, "text");
        named(3);
        let cause = SpanContext {
            trace_id: TraceId(7),
            span_id: SpanId(8),
            flags: TraceFlags::SAMPLED,
            ..SpanContext::default()
        };
        let mut headers = HashMap::<String, String>::new();
        vitalsign::trace::inject(&cause, &mut headers);
        below(headers);
        after(vec![cause]);
        displays();
        fails_quietly().expect_err("no");
        fails_in_debug().expect_err("one");
        instrumented();

        assert_eq!(capture.span("everything").attribute("body"), Some("text"));
        let but_one = capture.span("all_but_one");
        assert_eq!((but_one.attribute("id"), but_one.attribute("body")), (Some("2"), None));
        assert_eq!(capture.span("the name").attribute("order.id"), Some("3"));
        assert_eq!(capture.span("below").parent_id, Some(SpanId(8)));
        assert_eq!(capture.span("after").links, [(TraceId(7), SpanId(8))]);
        assert_eq!(capture.span("displays").attribute("return"), Some("x"));
        assert_eq!(capture.span("returns").attribute("return"), Some("7"));
        // Once, where it surfaced.
        assert_eq!(capture.span("fails").exception(), Some("no"));
        assert_eq!(capture.span("fails_quietly").exception(), None);
        assert_eq!(capture.span("fails_in_debug").exception(), Some("Some(1)"));
        let neighbour = capture.span("instrumented");
        for (key, value) in [("later", "1"), ("undeclared", "2"), ("by hand", "3")] {
            assert_eq!(neighbour.attribute(key), Some(value), "{key}");
        }
        assert_eq!(capture.span("returns").parent_id, Some(neighbour.span_id));
        assert_eq!(capture.span("on_its_own").parent_id, None);
    }

    #[derive(Clone, Copy, LabelValue)]
    enum Channel {
        Web,
    }

    #[derive(Debug, ErrorLabel)]
    enum Refusal {
        #[label(outcome = "ok")]
        Unknown,
        SoldOut,
    }

    vitalsign::metrics! {
        /// Orders by hand.
        static ORDERS: Counter<u64, (channel: Channel)> = "readme.orders";
        /// Users online.
        static USERS: Gauge = "readme.users";
    }

    #[counted(name = "readme.placed", labels(channel = channel), in_flight)]
    #[timed(name = "readme.latency")]
    fn place(channel: Channel, item: &str) -> Result<(), Refusal> {
        match item {
            "cup" => Ok(()),
            "unicorn" => Err(Refusal::Unknown),
            _ => Err(Refusal::SoldOut),
        }
    }

    #[counted(name = "readme.asked", labels(item = limit(item, 50)), ok_if = |found| *found)]
    fn ask(item: &str) -> bool {
        item == "cup"
    }

    #[observed(name = "readme.all", error_if = Option::is_none)]
    fn all(item: &str) -> Option<()> {
        (item == "cup").then_some(())
    }

    #[test]
    fn prometheus_metrics_and_autometrics() {
        let capture = capture();
        place(Channel::Web, "cup").expect("placed");
        place(Channel::Web, "unicorn").expect_err("unknown");
        place(Channel::Web, "samovar").expect_err("sold out");
        ask("cup");
        ask("tea");
        all("cup");
        all("tea");
        ORDERS.with(Channel::Web).add(1);
        USERS.set(3);

        let placed = |labels: &[_]| capture.count("readme.placed", labels);
        assert_eq!(placed(&[("channel", "web"), ("outcome", "ok")]), 2.0);
        assert_eq!(placed(&[("outcome", "error"), ("error.type", "SoldOut")]), 1.0);
        assert_eq!(capture.samples("readme.latency").len(), 3);
        assert_eq!(
            capture.count("readme.asked", &[("item", "tea"), ("outcome", "error")]),
            1.0
        );
        assert_eq!(capture.count("readme.all.calls", &[("outcome", "error")]), 1.0);
        assert_eq!(capture.samples("readme.all.duration").len(), 2);
        let spans = capture.spans();
        assert_eq!(spans.iter().filter(|span| span.status == Status::Error).count(), 1);
    }
}
