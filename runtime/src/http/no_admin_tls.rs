//! In place of TLS where it is not compiled in.

use crate::config::env::Admin;
use std::io;
use tokio::net::TcpStream;

#[derive(Clone, Debug)]
pub(crate) enum Tls {}

impl Tls {
    /// A configuration that names files is refused before, with the line for Cargo.toml.
    #[expect(clippy::unnecessary_wraps, reason = "the shape of the one with TLS")]
    pub(crate) fn of(_admin: &Admin) -> Result<Option<Self>, String> {
        Ok(None)
    }

    #[expect(clippy::unused_async, reason = "the shape of the one with TLS")]
    pub(crate) async fn accept(&self, _stream: TcpStream) -> io::Result<TcpStream> {
        match *self {}
    }
}
