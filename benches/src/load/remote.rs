//! The collector as a process of its own, so that its work and memory are not those of the program that is measured.

use super::collector::{Collector, Mood, Protocol};
use std::io::{BufRead as _, BufReader, Write as _};
use std::process::{Child, ChildStdin, ChildStdout, Command, Stdio};

/// The first argument of a process that is the collector.
const ROLE: &str = "collector";

/// Becomes the collector where the arguments say so, until its standard input ends. First thing in `main`.
pub fn collector_if_asked() {
    if std::env::args().nth(1).as_deref() != Some(ROLE) {
        return;
    }
    let mut collector = Collector::start(Protocol::asked());
    println!("{}", collector.address);
    for line in std::io::stdin().lines().map_while(Result::ok) {
        if let Some(mood) = Mood::named(&line) {
            collector.set(mood);
        }
        let heard = collector.heard();
        println!(
            "{} {} {} {} {}",
            heard.spans.different(),
            heard.spans.again(),
            heard.rejected,
            heard.logs,
            heard.pushes
        );
    }
    std::process::exit(0);
}

/// What it says of itself.
#[derive(Clone, Copy, Debug, Default)]
pub struct Count {
    /// Different spans taken.
    pub spans: u64,
    /// Spans taken that had been taken before.
    pub again: u64,
    /// Spans refused.
    pub rejected: u64,
    /// Log records taken.
    pub logs: u64,
    /// Requests with metrics.
    pub pushes: u64,
}

/// That process.
pub struct Remote {
    child: Child,
    stdin: Option<ChildStdin>,
    stdout: BufReader<ChildStdout>,
    /// For `OTEL_EXPORTER_OTLP_ENDPOINT`.
    pub url: String,
}

impl Remote {
    /// Starts this program once more as a collector.
    ///
    /// # Panics
    /// When it cannot be started.
    #[must_use]
    pub fn start(protocol: Protocol) -> Self {
        let program = std::env::current_exe().expect("this program");
        let mut child = Command::new(program)
            .args([ROLE, "--protocol", protocol.name()])
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .spawn()
            .expect("it starts");
        let mut stdout = BufReader::new(child.stdout.take().expect("a pipe"));
        let mut address = String::new();
        stdout.read_line(&mut address).expect("its address");
        Self {
            stdin: child.stdin.take(),
            stdout,
            url: format!("http://{}", address.trim()),
            child,
        }
    }

    /// Changes its mood.
    ///
    /// # Panics
    /// When it is dead.
    pub fn set(&mut self, mood: Mood) -> Count {
        self.ask(&format!("{mood:?}"))
    }

    /// What arrived so far.
    ///
    /// # Panics
    /// When it is dead.
    pub fn count(&mut self) -> Count {
        self.ask("count")
    }

    fn ask(&mut self, what: &str) -> Count {
        let stdin = self.stdin.as_mut().expect("until the end");
        writeln!(stdin, "{what}").expect("the collector lives");
        let mut line = String::new();
        self.stdout.read_line(&mut line).expect("the collector lives");
        let mut numbers = line.split_whitespace().map(|number| number.parse().expect("a number"));
        let mut next = || numbers.next().expect("five numbers");
        Count {
            spans: next(),
            again: next(),
            rejected: next(),
            logs: next(),
            pushes: next(),
        }
    }
}

impl Drop for Remote {
    fn drop(&mut self) {
        drop(self.stdin.take());
        let _ = self.child.wait();
    }
}
