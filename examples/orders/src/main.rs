//! A shop that takes orders, and an inventory that it asks for the goods: two processes, one program.
//!
//! ```console
//! $ cargo run                                  # both, with visitors, and the trees of some orders on the terminal
//! $ cargo run -- --quiet                       # without visitors and trees
//! $ cargo run -- --database orders.db          # orders are kept in a file
//! $ cargo run -- --help                        # the rest
//! ```
//!
//! Everything that shows up in spans, on /metrics, in the probes and in the logs comes from attributes on the functions in
//! `shop`, `store`, `stock`, `worker` and `inventory`, from the layer around each of the two servers, and from that around the shop's
//! client. The rest of the files make it something to look at: `visits` are the customers, `receiver` stands in for a tracing
//! backend, `child` is the second process.

mod child;
mod inventory;
mod options;
mod receiver;
mod shop;
mod spans;
mod stock;
mod store;
mod visits;
mod worker;

use options::{Asked, Options, Role, USAGE};
use std::process::ExitCode;

type Fallible<T> = Result<T, Box<dyn std::error::Error + Send + Sync>>;

#[tokio::main]
async fn main() -> ExitCode {
    let options = match Options::from_args(std::env::args().skip(1)) {
        Ok(Asked::Run(options)) => options,
        Ok(Asked::Help) => {
            println!("{USAGE}");
            return ExitCode::SUCCESS;
        }
        Err(wrong) => {
            eprintln!("orders: {wrong}\n\n{USAGE}");
            return ExitCode::from(2);
        }
    };
    let ran = match options.role {
        Role::Shop => shop::run(options).await,
        Role::Inventory => inventory::run().await,
    };
    match ran {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            eprintln!("orders: {error}");
            ExitCode::FAILURE
        }
    }
}
