//! What the command line says.

/// Which of the two processes this is.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(crate) enum Role {
    Shop,
    Inventory,
}

#[derive(Clone, Debug)]
pub(crate) struct Options {
    pub(crate) role: Role,
    /// No visitors, no trees on the terminal.
    pub(crate) quiet: bool,
    /// A file; in memory without.
    pub(crate) database: Option<String>,
    /// Where the shop listens; a free port where this one is taken.
    pub(crate) port: u16,
}

impl Options {
    pub(crate) fn from_args(mut args: impl Iterator<Item = String>) -> Result<Self, String> {
        let mut options = Self {
            role: Role::Shop,
            quiet: false,
            database: None,
            port: 3000,
        };
        while let Some(arg) = args.next() {
            match arg.as_str() {
                "inventory" => options.role = Role::Inventory,
                "--quiet" => options.quiet = true,
                "--database" => options.database = Some(args.next().ok_or("--database needs a file")?),
                "--port" => {
                    let port = args.next().ok_or("--port needs a number")?;
                    options.port = port.parse().map_err(|_| format!("--port {port}: not a port"))?;
                }
                other => {
                    return Err(format!(
                        "{other}: not known; there are --quiet, --database FILE, --port N"
                    ));
                }
            }
        }
        Ok(options)
    }
}
