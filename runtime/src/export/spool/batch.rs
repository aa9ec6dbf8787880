//! A batch as a file: magic, signal, items, length, checksum, bytes. What the disk or a stranger made of it is found out.

use crate::export::transport::Signal;
use bytes::Bytes;
use std::fs::{self, File};
use std::io::{self, Read as _};
use std::path::Path;

pub(super) const MAGIC: &[u8; 8] = b"vsspool1";
/// Magic, signal, items, length, checksum.
pub(super) const HEADER: usize = 8 + 1 + 8 + 8 + 4;
/// Requests are no larger; a header that says so is a lie.
const MAX_BODY: u64 = 64 << 20;

/// What a header says.
#[derive(Clone, Copy, Debug)]
pub(super) struct Head {
    pub(super) signal: Signal,
    pub(super) count: u64,
    /// Of the bytes behind the header.
    length: u64,
}

impl Head {
    /// Of the whole file.
    pub(super) fn size(self) -> u64 {
        HEADER as u64 + self.length
    }

    fn parse(header: &[u8; HEADER]) -> io::Result<Self> {
        let number = |at: usize| u64::from_le_bytes(std::array::from_fn(|n| header[at + n]));
        let signal = Signal::ALL
            .into_iter()
            .find(|signal| *signal as u8 == header[8])
            .ok_or_else(corrupt)?;
        let (count, length) = (number(9), number(17));
        if header[..8] != *MAGIC || length > MAX_BODY || count > length {
            return Err(corrupt());
        }
        Ok(Self { signal, count, length })
    }

    /// Of a file that is as long as its header says; its bytes are not looked at.
    pub(super) fn read(path: &Path) -> io::Result<Self> {
        let mut file = File::open(path)?;
        let mut header = [0; HEADER];
        file.read_exact(&mut header)?;
        let head = Self::parse(&header)?;
        if file.metadata()?.len() == head.size() {
            Ok(head)
        } else {
            Err(corrupt())
        }
    }
}

pub(crate) fn header(signal: Signal, body: &[u8], count: u64) -> [u8; HEADER] {
    let mut header = [0; HEADER];
    header[..8].copy_from_slice(MAGIC);
    header[8] = signal as u8;
    header[9..17].copy_from_slice(&count.to_le_bytes());
    header[17..25].copy_from_slice(&(body.len() as u64).to_le_bytes());
    let checksum = checksum(&header[..25], body);
    header[25..].copy_from_slice(&checksum.to_le_bytes());
    header
}

fn checksum(head: &[u8], body: &[u8]) -> u32 {
    let mut crc = flate2::Crc::new();
    crc.update(head);
    crc.update(body);
    crc.sum()
}

/// A batch, whole and as it was written, or an error.
pub(crate) fn read(path: &Path) -> io::Result<(Signal, u64, Bytes)> {
    // The head first: a file of any size may stand there.
    Head::read(path)?;
    parse(&fs::read(path)?.into())
}

/// The same from the bytes of a file.
pub(crate) fn parse(bytes: &Bytes) -> io::Result<(Signal, u64, Bytes)> {
    let header = bytes.first_chunk::<HEADER>().ok_or_else(corrupt)?;
    let Head { signal, count, length } = Head::parse(header)?;
    let body = bytes.slice(HEADER..);
    if body.len() as u64 != length || header[25..] != checksum(&header[..25], &body).to_le_bytes() {
        return Err(corrupt());
    }
    Ok((signal, count, body))
}

fn corrupt() -> io::Error {
    io::Error::new(io::ErrorKind::InvalidData, "no whole batch")
}

/// Whether there is no batch and never will be again, as against a system that can not read it now.
pub(super) fn is_lost(error: &io::Error) -> bool {
    matches!(
        error.kind(),
        io::ErrorKind::InvalidData | io::ErrorKind::UnexpectedEof | io::ErrorKind::NotFound
    )
}
