//! One case per process; warm-up; 15 rounds of 60 ms in 3 passes over all cases, so that a quiet minute favours nobody; the
//! median. A round in which the thread waited for a processor for more than 1 % of its time is thrown away and repeated.

use crate::{allocations, cpu};
use std::process::Command;
use std::sync::Barrier;
use std::time::{Duration, Instant};

/// How much is done for a figure.
struct Effort {
    passes: usize,
    /// Rounds of one process.
    rounds: usize,
    round: Duration,
    /// A busy machine would repeat for ever.
    attempts: usize,
}

const WHOLE: Effort = Effort {
    passes: 3,
    rounds: 5,
    round: Duration::from_millis(60),
    attempts: 15,
};

/// `--quick`: every case runs and proves that it records. Its figures are none to quote.
const QUICK: Effort = Effort {
    passes: 1,
    rounds: 1,
    round: Duration::from_micros(500),
    attempts: 1,
};
/// Iterations in which allocations are counted.
const COUNTED: u64 = 100;

/// One thing to measure: `run` does it that many times; `setup` comes first, in the same process.
#[derive(Clone, Copy)]
pub struct Case {
    /// Shown in the table.
    pub name: &'static str,
    /// Installs what the case needs.
    pub setup: fn(),
    /// The loop.
    pub run: fn(u64),
    /// How many of what is counted one iteration does, as 100 for a root with 99 children.
    pub per_iteration: u64,
    /// Asserts that everything was recorded; given the number of iterations.
    pub check: fn(u64),
}

/// A case without set-up.
pub const fn case(name: &'static str, run: fn(u64)) -> Case {
    Case {
        name,
        setup: || (),
        run,
        per_iteration: 1,
        check: |_| (),
    }
}

impl Case {
    /// With something to do first.
    #[must_use]
    pub const fn setup(mut self, setup: fn()) -> Self {
        self.setup = setup;
        self
    }

    /// Several in one iteration.
    #[must_use]
    pub const fn per_iteration(mut self, count: u64) -> Self {
        self.per_iteration = count;
        self
    }

    /// With a proof that it recorded what it was given.
    #[must_use]
    pub const fn check(mut self, check: fn(u64)) -> Self {
        self.check = check;
        self
    }
}

/// What the processes of one case measured.
#[derive(Default)]
struct Measured {
    /// Nanoseconds on the caller, each round's, sorted.
    rounds: Vec<f64>,
    /// Nanoseconds of processor time on all threads, each process's, sorted.
    cpu: Vec<f64>,
    /// Allocations of the caller.
    allocations: f64,
    /// What the case has to say.
    note: Vec<String>,
}

/// The `main` of a bench: without arguments the table of all cases, with words only the cases whose names have one of them; with
/// `--quick` each once and briefly.
///
/// # Panics
/// When a case fails.
pub fn main(title: &str, cases: &[Case]) {
    let mut args: Vec<String> = std::env::args().skip(1).collect();
    let all = args.len();
    args.retain(|word| word != "--quick");
    let quick = args.len() < all;
    let effort = if quick { QUICK } else { WHOLE };
    if let [flag, name, threads] = args.as_slice()
        && flag == "--case"
    {
        let case = cases
            .iter()
            .find(|case| case.name == name)
            .expect("a case of that name");
        measure(case, threads.parse().expect("a number"), &effort);
        return;
    }
    // For tools that count instructions, whatever else the machine does: so many iterations, and no clock.
    if let [flag, name, iterations] = args.as_slice()
        && flag == "--only"
    {
        let case = cases
            .iter()
            .find(|case| case.name == name)
            .expect("a case of that name");
        (case.setup)();
        (case.run)(1);
        (case.run)(iterations.parse().expect("a number"));
        return;
    }
    let cases: Vec<&Case> = cases
        .iter()
        .filter(|case| args.is_empty() || args.iter().any(|word| case.name.contains(word.as_str())))
        .collect();
    let mut measured: Vec<[Measured; 2]> = cases.iter().map(|_| Default::default()).collect();
    for _ in 0..effort.passes {
        for (case, found) in cases.iter().zip(&mut measured) {
            for (threads, found) in (1..).zip(found) {
                found.add(child(case.name, threads, quick));
            }
        }
    }
    println!(
        "{title}: ns per call, median of {} rounds of {:?} [lowest to highest]",
        effort.rounds * effort.passes,
        effort.round
    );
    println!(
        "{:<52} {:>24} {:>24} {:>9} {:>7}",
        "", "1 thread", "2 threads", "CPU", "allocs"
    );
    for (case, [one, two]) in cases.iter().zip(&measured) {
        println!(
            "{:<52} {:>24} {:>24} {:>9.1} {:>7.2}{}",
            case.name,
            one.show(),
            two.show(),
            median(&one.cpu),
            one.allocations,
            one.warning()
        );
    }
}

fn median(sorted: &[f64]) -> f64 {
    sorted.get(sorted.len() / 2).copied().unwrap_or(f64::NAN)
}

impl Measured {
    fn add(&mut self, other: Self) {
        self.rounds.extend(other.rounds);
        self.rounds.sort_by(f64::total_cmp);
        self.cpu.extend(other.cpu);
        self.cpu.sort_by(f64::total_cmp);
        self.allocations = other.allocations;
        for note in other.note {
            if !self.note.contains(&note) {
                self.note.push(note);
            }
        }
    }

    fn show(&self) -> String {
        format!(
            "{:.1} [{:.1} to {:.1}]",
            median(&self.rounds),
            self.rounds.first().unwrap_or(&f64::NAN),
            self.rounds.last().unwrap_or(&f64::NAN)
        )
    }

    fn warning(&self) -> String {
        if self.note.is_empty() {
            String::new()
        } else {
            format!("  ({})", self.note.join("; "))
        }
    }
}

fn child(name: &str, threads: usize, quick: bool) -> Measured {
    let exe = std::env::current_exe().expect("this program");
    let output = Command::new(exe)
        .args(["--case", name, &threads.to_string()])
        .args(quick.then_some("--quick"))
        .output()
        .expect("it starts again");
    assert!(
        output.status.success(),
        "{name}: {}",
        String::from_utf8_lossy(&output.stderr)
    );
    let text = String::from_utf8_lossy(&output.stdout);
    // The program under measurement may print lines of its own.
    let line = text
        .lines()
        .rev()
        .find_map(|line| line.strip_prefix("measured "))
        .expect("a measurement");
    let note = text
        .lines()
        .filter_map(|line| line.strip_prefix("note "))
        .map(str::to_owned)
        .collect();
    let mut numbers = line.split(' ').map(|number| number.parse::<f64>().expect("numbers"));
    Measured {
        cpu: numbers.next().into_iter().collect(),
        allocations: numbers.next().unwrap_or_default(),
        rounds: numbers.collect(),
        note,
    }
}

fn measure(case: &Case, threads: usize, effort: &Effort) {
    (case.setup)();
    // What is made on first use is no call's cost.
    (case.run)(COUNTED);
    let allocations = allocations::during(|| (case.run)(COUNTED)) as f64 / (COUNTED * case.per_iteration) as f64;
    let barrier = Barrier::new(threads);
    let cpu_before = cpu::of_process();
    let results: Vec<_> = std::thread::scope(|scope| {
        let spawned: Vec<_> = (0..threads)
            .map(|_| scope.spawn(|| rounds_of(case, &barrier, effort)))
            .collect();
        spawned
            .into_iter()
            .map(|thread| thread.join().expect("a thread that measures"))
            .collect()
    });
    let done: u64 = results.iter().map(|(_, _, iterations)| iterations).sum();
    (case.check)(done + 2 * COUNTED);
    let cpu = cpu::of_process().saturating_sub(cpu_before).as_nanos() as f64 / (done * case.per_iteration) as f64;
    let short: usize = results.iter().map(|(_, short, _)| short).sum();
    if short > 0 {
        println!("\nnote {short} rounds less the time waited");
    }
    print!("\nmeasured {cpu} {allocations}");
    for round in results.iter().flat_map(|(rounds, _, _)| rounds) {
        print!(" {round}");
    }
    println!();
}

fn rounds_of(case: &Case, barrier: &Barrier, effort: &Effort) -> (Vec<f64>, usize, u64) {
    // What is made on first use is no call's cost.
    (case.run)(1);
    let (mut iterations, mut done) = (1, 1);
    // Warm-up, and how many iterations make a round.
    loop {
        let start = Instant::now();
        (case.run)(iterations);
        done += iterations;
        let took = start.elapsed();
        if took >= effort.round / 2 {
            let scale = effort.round.as_secs_f64() / took.as_secs_f64();
            iterations = ((iterations as f64 * scale) as u64).max(1);
            break;
        }
        iterations *= 2;
    }
    barrier.wait();
    let (mut rounds, mut disturbed) = (Vec::new(), Vec::new());
    for _ in 0..effort.attempts {
        let (waited, start) = (run_delay(), Instant::now());
        (case.run)(iterations);
        let took = start.elapsed();
        let waited = run_delay().saturating_sub(waited);
        done += iterations;
        let per_call = |time: Duration| time.as_nanos() as f64 / (iterations * case.per_iteration) as f64;
        if waited > took / 100 {
            disturbed.push(per_call(took.saturating_sub(waited)));
            continue;
        }
        rounds.push(per_call(took));
        if rounds.len() == effort.rounds {
            break;
        }
    }
    // On a machine that is never quiet, a round less its waiting, with a note beside it, is better than no figure.
    let short = effort.rounds - rounds.len();
    if short > 0 {
        disturbed.sort_by(f64::total_cmp);
        let middle = disturbed.len().saturating_sub(short) / 2;
        rounds.extend(disturbed.iter().skip(middle).take(short));
    }
    (rounds, short, done)
}

/// How long this thread has waited for a processor.
fn run_delay() -> Duration {
    let text = std::fs::read_to_string("/proc/thread-self/schedstat").unwrap_or_default();
    Duration::from_nanos(
        text.split_whitespace()
            .nth(1)
            .and_then(|field| field.parse().ok())
            .unwrap_or_default(),
    )
}
