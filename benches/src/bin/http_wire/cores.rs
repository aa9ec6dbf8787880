//! Who runs where: the load on one core, the servers on another.

use std::process::Command;

/// The cores of load and servers.
pub struct Cores {
    load: usize,
    /// None where there is but one, or no `taskset`.
    pub servers: Option<usize>,
}

impl Cores {
    /// Takes the first core for this process, which makes the load, and leaves the last for the servers.
    pub fn share() -> std::io::Result<Self> {
        let allowed = allowed()?;
        let (Some(&load), Some(&last)) = (allowed.first(), allowed.last()) else {
            return Ok(Self { load: 0, servers: None });
        };
        let pinned = Command::new("taskset")
            .args(["-cp", &load.to_string(), &std::process::id().to_string()])
            .output()
            .is_ok_and(|output| output.status.success());
        Ok(Self {
            load,
            servers: (pinned && last != load).then_some(last),
        })
    }

    /// This program once more, on the core of the servers.
    pub fn server(&self) -> std::io::Result<Command> {
        let program = std::env::current_exe()?;
        Ok(match self.servers {
            Some(core) => {
                let mut command = Command::new("taskset");
                command.args(["-c", &core.to_string()]).arg(program);
                command
            }
            None => Command::new(program),
        })
    }
}

impl std::fmt::Display for Cores {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        match self.servers {
            Some(servers) => write!(f, "load on core {}, servers on core {servers}", self.load),
            None => f.write_str("load and servers share their cores: the figures say little"),
        }
    }
}

/// The cores that this process may use.
fn allowed() -> std::io::Result<Vec<usize>> {
    let status = std::fs::read_to_string("/proc/self/status")?;
    let list = status
        .lines()
        .find_map(|line| line.strip_prefix("Cpus_allowed_list:"))
        .unwrap_or_default();
    let range = |part: &str| {
        let (first, last) = part.split_once('-').unwrap_or((part, part));
        Some(first.parse().ok()?..=last.parse().ok()?)
    };
    Ok(list.trim().split(',').filter_map(range).flatten().collect())
}
