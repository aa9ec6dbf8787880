//! What the command line says.

use std::net::{IpAddr, Ipv4Addr};

/// What `--help` shows, and whoever wrote something else.
pub(crate) const USAGE: &str = "\
A shop that takes orders and the inventory that it asks for the goods, as two processes.

usage: orders [--quiet] [--database FILE] [--host ADDRESS] [--port N]

  --quiet          no visitors, and no trees on the terminal
  --database FILE  keep the orders in a file; in memory without
  --host ADDRESS   where the shop listens, 0.0.0.0 for all that the machine has; without, 127.0.0.1
  --port N         the port to it, 0 for a free port; without, 3000, and a free port where that is taken
  --help           this

Everything else is said by variables: OTEL_EXPORTER_OTLP_ENDPOINT, VITALSIGN_ADMIN, RUST_LOG and those of the README.";

/// Which of the two processes this is.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(crate) enum Role {
    Shop,
    Inventory,
}

/// What the program is asked to do.
#[derive(Clone, Debug)]
pub(crate) enum Asked {
    Help,
    Run(Options),
}

#[derive(Clone, Debug)]
pub(crate) struct Options {
    pub(crate) role: Role,
    /// No visitors, no trees on the terminal.
    pub(crate) quiet: bool,
    /// A file; in memory without.
    pub(crate) database: Option<String>,
    /// Where the shop listens.
    pub(crate) host: IpAddr,
    /// The port to it, if it was said.
    pub(crate) port: Option<u16>,
}

impl Options {
    pub(crate) fn from_args(mut args: impl Iterator<Item = String>) -> Result<Asked, String> {
        let mut options = Self {
            role: Role::Shop,
            quiet: false,
            database: None,
            host: Ipv4Addr::LOCALHOST.into(),
            port: None,
        };
        while let Some(arg) = args.next() {
            match arg.as_str() {
                "--help" | "-h" => return Ok(Asked::Help),
                "inventory" => options.role = Role::Inventory,
                "--quiet" => options.quiet = true,
                "--database" => options.database = Some(args.next().ok_or("--database needs a file")?),
                "--host" => {
                    let host = args.next().ok_or("--host needs an address")?;
                    let address = host.parse();
                    options.host = address.map_err(|_| format!("--host {host}: not an address such as 0.0.0.0"))?;
                }
                "--port" => {
                    let port = args.next().ok_or("--port needs a number")?;
                    let number = port.parse();
                    options.port = Some(number.map_err(|_| format!("--port {port}: not a number from 0 to 65535"))?);
                }
                other => {
                    return Err(format!("{other}: no such option"));
                }
            }
        }
        Ok(Asked::Run(options))
    }
}
