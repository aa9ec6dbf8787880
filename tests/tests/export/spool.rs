//! The spool from outside: whole programs, real disks that fill up, kill -9.

use std::fs;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};
use std::time::Duration;
use tests::otlp::Receiver;
use tests::page::{self, Page};
use tests::process::Process;
use tests::server::Folder;
use tests::wait_for;

const LIMIT: Duration = Duration::from_secs(60);

/// A collector that takes nothing until [`back`].
fn away() -> Receiver {
    let receiver = Receiver::start();
    let never = std::iter::repeat_n((503, None), 1_000_000);
    receiver.received().answers.extend(never);
    receiver
}

fn back(receiver: &Receiver) {
    receiver.received().answers.clear();
}

/// The program that makes so many spans and then waits, started by way of another program if one is given.
struct Running {
    process: Process,
    admin: String,
}

impl Running {
    fn start(shell: Option<&str>, calls: u32, receiver: &Receiver, dir: &Path, variables: &[(&str, &str)]) -> Self {
        let program = env!("CARGO_BIN_EXE_export_program");
        let mut command = match shell {
            Some(first) => {
                let mut command = crate::program::command("sh");
                command.args(["-c", &format!("{first} && exec \"$0\" \"$@\""), program]);
                command
            }
            None => crate::program::command(program),
        };
        command
            .args([&calls.to_string(), "wait"])
            .env(
                "OTEL_EXPORTER_OTLP_TRACES_ENDPOINT",
                format!("{}/v1/traces", receiver.http()),
            )
            .env("VITALSIGN_SPOOL_DIR", dir)
            .envs(variables.iter().copied());
        let process = Process::start(&mut command);
        let admin = process.line("address", LIMIT, |line| line.strip_prefix("admin ").map(str::to_owned));
        Self { process, admin }
    }

    fn page(&self) -> Page {
        page::get(&format!("http://{}/metrics", self.admin))
    }

    fn count(&self, name: &str, labels: &[(&str, &str)]) -> u64 {
        self.page().sum(name, labels) as u64
    }

    /// Lines that say something of the variable, once there is one: lines are written on a thread of their own.
    fn said(&self) -> Vec<String> {
        wait_for("a line", LIMIT, || {
            let mut lines = self.process.lines();
            lines.retain(|line| line.contains("VITALSIGN_SPOOL_DIR"));
            (!lines.is_empty()).then_some(lines)
        })
    }
}

/// The names of all files in all processes' folders.
fn files(dir: &Path) -> Vec<PathBuf> {
    let folders = fs::read_dir(dir).into_iter().flatten().flatten();
    let files = folders.flat_map(|folder| fs::read_dir(folder.path()).into_iter().flatten().flatten());
    files.map(|file| file.path()).collect()
}

fn batches(dir: &Path) -> usize {
    let batch = |path: &PathBuf| path.extension().is_some_and(|extension| extension == "batch");
    files(dir).iter().filter(|path| batch(path)).count()
}

const ONE_BY_ONE: [(&str, &str); 2] = [
    ("OTEL_BSP_SCHEDULE_DELAY", "50"),
    ("OTEL_BSP_MAX_EXPORT_BATCH_SIZE", "1"),
];

#[test]
fn each_policy_syncs_as_it_says_and_survives_a_kill() {
    const SPANS: u32 = 40;
    for policy in ["always", "second", "never"] {
        let (dir, receiver) = (Folder::new(), away());
        let mut variables = vec![("VITALSIGN_SPOOL_SYNC", policy)];
        variables.extend(ONE_BY_ONE);
        let program = Running::start(None, SPANS, &receiver, dir.path(), &variables);
        wait_for("all of it on disk", LIMIT, || {
            (batches(dir.path()) == SPANS as usize).then_some(())
        });
        let syncs = || program.count("vitalsign_spool_syncs_total", &[]);
        let (spans, synced) = (u64::from(SPANS), syncs());
        match policy {
            // Each file, and each time its folder.
            "always" => assert!(synced >= 2 * spans, "{policy}: {synced}"),
            // Each file once, and beside the writing: some may still wait for it.
            "second" => {
                wait_for("the last sync", LIMIT, || (syncs() > spans).then_some(()));
                assert!(synced < 2 * spans, "{policy}: {synced}");
            }
            _ => assert_eq!(synced, 0, "{policy}"),
        }
        assert_eq!(program.count("vitalsign_spool_written_total", &[]), spans);
        assert_eq!(program.count("vitalsign_spool_failed_total", &[]), 0);
        // By SIGKILL.
        drop(program);
        back(&receiver);
        let next = Running::start(None, 0, &receiver, dir.path(), &[]);
        wait_for("what the dead one left", LIMIT, || {
            (receiver.spans().len() == SPANS as usize && batches(dir.path()) == 0).then_some(())
        });
        assert_eq!(next.count("vitalsign_spool_sent_total", &[]), spans, "{policy}");
    }
}

/// A disk on which little can be written: a file system of one megabyte where this user may mount one, and everywhere a limit on the
/// size of files, which says the same to who writes.
struct Small {
    dir: Folder,
    mounted: bool,
}

impl Small {
    fn all() -> Vec<Self> {
        let limited = Self {
            dir: Folder::new(),
            mounted: false,
        };
        let mut all = vec![limited];
        let dir = Folder::new();
        let mounted = Command::new("mount")
            .args(["-t", "tmpfs", "-o", "size=1m", "none"])
            .arg(dir.path())
            .stderr(Stdio::null())
            .status();
        if mounted.is_ok_and(|status| status.success()) {
            all.push(Self { dir, mounted: true });
        }
        all
    }

    /// Takes all room but so many kilobytes; what a shell says to have no more.
    fn leave(&self, kilobytes: usize) -> Option<String> {
        if self.mounted {
            let room = 1024 - kilobytes;
            // Hidden: it is not what this is about.
            fs::write(self.dir.path().join(".filler"), vec![0; room << 10]).expect("there is room");
            return None;
        }
        // Blocks of 512 bytes; some shells have them twice as large. Who ignores the signal gets an error.
        Some(format!("trap '' XFSZ && ulimit -f {}", kilobytes * 2))
    }

    fn free(&self) {
        let _ = fs::remove_file(self.dir.path().join(".filler"));
    }
}

impl Drop for Small {
    fn drop(&mut self) {
        if self.mounted {
            let _ = Command::new("umount").arg(self.dir.path()).status();
        }
    }
}

#[test]
fn on_a_full_disk_batches_wait_in_memory_and_one_line_says_so() {
    const SPANS: u32 = 1500;
    for disk in Small::all() {
        let receiver = away();
        let shell = disk.leave(16);
        let variables = [("OTEL_BSP_SCHEDULE_DELAY", "100")];
        let program = Running::start(shell.as_deref(), SPANS, &receiver, disk.dir.path(), &variables);
        let refused = || program.count("vitalsign_spool_failed_total", &[("error_type", "write")]);
        wait_for("several refusals", LIMIT, || (refused() > 2).then_some(()));
        let said = program.said();
        assert_eq!(said.len(), 1, "{:#?}", program.process.lines());
        let mend = if disk.mounted {
            "free some of it, name a folder on another disk"
        } else {
            "or the process's own limit"
        };
        assert!(
            said[0].contains("batches wait in memory") && said[0].contains(mend),
            "{said:?}"
        );
        let queued = |program: &Running| program.count("otel_sdk_processor_span_queue_size", &[]);
        assert!(queued(&program) > 0, "they wait in memory");
        assert_eq!(batches(disk.dir.path()), 0, "nothing is torn");
        if disk.mounted {
            disk.free();
            let written = || program.count("vitalsign_spool_written_total", &[]);
            wait_for("a batch on the disk that has room again", LIMIT, || {
                (written() > 0).then_some(())
            });
        }
        back(&receiver);
        wait_for("all of it", LIMIT, || {
            (receiver.spans().len() == SPANS as usize).then_some(())
        });
        assert_eq!(program.count("vitalsign_spool_dropped_total", &[]), 0);
        wait_for("an empty queue", LIMIT, || (queued(&program) == 0).then_some(()));
    }
}

#[test]
fn a_disk_full_from_the_start_and_a_path_that_is_none_are_one_warning_and_the_service_runs_on() {
    let folder = Folder::new();
    let file = folder.path().join("file");
    fs::write(&file, b"a file").expect("it is written");
    let below = file.join("below");
    let mut runs = vec![
        (None, file.clone(), "File exists"),
        (None, below, "Not a directory"),
        (None, "/proc/nowhere".into(), "No such file"),
    ];
    let disks = Small::all();
    for disk in &disks {
        let says = if disk.mounted {
            "No space left"
        } else {
            "File too large"
        };
        runs.push((disk.leave(0), disk.dir.path().to_owned(), says));
    }
    for (shell, dir, says) in runs {
        let receiver = Receiver::start();
        let program = Running::start(shell.as_deref(), 5, &receiver, &dir, &ONE_BY_ONE);
        wait_for("the spans", LIMIT, || (receiver.spans().len() == 5).then_some(()));
        let said = program.said();
        let expected = format!("VITALSIGN_SPOOL_DIR={}: {says}", dir.display());
        assert!(
            matches!(&*said, [line] if line.contains(&expected) && line.contains("Name a folder that can be written to")),
            "{expected}: {said:?}"
        );
    }
    assert_eq!(fs::read(&file).expect("it stands"), b"a file");
}

#[test]
fn a_folder_of_somebody_else_s_is_said_and_left_alone() {
    let (dir, receiver) = (Folder::new(), away());
    fs::create_dir_all(dir.path().join("photos")).expect("a folder");
    for name in ["photos/00000000000000000001-000001.batch", "notes.txt", "a", "b"] {
        fs::write(dir.path().join(name), b"mine").expect("it is written");
    }
    let program = Running::start(None, 5, &receiver, dir.path(), &ONE_BY_ONE);
    let expected = format!(
        "VITALSIGN_SPOOL_DIR={} holds what is not the spool's (a, b, notes.txt and 1 more); it is left alone. Name a folder that nothing else uses",
        dir.path().display()
    );
    wait_for("all of it on disk", LIMIT, || {
        (program.count("vitalsign_spool_written_total", &[]) >= 5).then_some(())
    });
    back(&receiver);
    wait_for("the spans", LIMIT, || (receiver.spans().len() == 5).then_some(()));
    let said = program.said();
    assert!(matches!(&*said, [line] if line.contains(&expected)), "{said:?}");
    for name in ["photos/00000000000000000001-000001.batch", "notes.txt", "a", "b"] {
        assert_eq!(fs::read(dir.path().join(name)).expect("it stands"), b"mine", "{name}");
    }
}
