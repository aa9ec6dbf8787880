//! A collector that takes whatever comes and answers at once: looked after by who makes the load, so that it takes no core away.

use rustix::net::RecvFlags;
use std::io::{ErrorKind, Read as _, Write as _};
use std::net::{SocketAddr, TcpListener, TcpStream};
use std::time::{Duration, Instant};

/// Between two looks for new callers. One makes the kernel a socket that it frees again later, many at once, where there is no caller:
/// a look at every turn stopped the load for a quarter of a millisecond, over a hundred times a second.
const ACCEPTS: Duration = Duration::from_millis(20);

/// Bytes thrown away at a time.
const DISCARDED: usize = 64 * 1024;

const ANSWER: &[u8] = b"HTTP/1.1 200 OK\r\ncontent-type: application/x-protobuf\r\ncontent-length: 0\r\n\r\n";

pub struct Collector {
    listener: TcpListener,
    callers: Vec<Caller>,
    accepted: Instant,
    requests: u64,
    bytes: u64,
}

struct Caller {
    stream: TcpStream,
    /// Of the request that comes, until its head is there.
    head: Vec<u8>,
    /// Its length, and what of it is still to come.
    length: usize,
    left: usize,
    discarded: Vec<u8>,
}

impl Collector {
    pub fn start() -> std::io::Result<Self> {
        let listener = TcpListener::bind("127.0.0.1:0")?;
        listener.set_nonblocking(true)?;
        Ok(Self {
            listener,
            callers: Vec::new(),
            accepted: Instant::now(),
            requests: 0,
            bytes: 0,
        })
    }

    pub fn address(&self) -> std::io::Result<SocketAddr> {
        self.listener.local_addr()
    }

    /// Answers what is there.
    pub fn look(&mut self) -> std::io::Result<()> {
        if self.accepted.elapsed() >= ACCEPTS {
            self.accepted = Instant::now();
            self.accept()?;
        }
        let (requests, bytes) = (&mut self.requests, &mut self.bytes);
        self.callers.retain_mut(|caller| match caller.look() {
            Ok(0) => true,
            Ok(length) => {
                *requests += 1;
                *bytes += length as u64;
                true
            }
            Err(_gone) => false,
        });
        Ok(())
    }

    fn accept(&mut self) -> std::io::Result<()> {
        if let Ok((stream, _)) = self.listener.accept() {
            stream.set_nonblocking(true)?;
            stream.set_nodelay(true)?;
            self.callers.push(Caller {
                stream,
                head: Vec::new(),
                length: 0,
                left: 0,
                discarded: vec![0; DISCARDED],
            });
        }
        Ok(())
    }
}

impl Caller {
    /// The length of the request that was answered, 0 where there was none.
    fn look(&mut self) -> std::io::Result<usize> {
        let came = if self.left == 0 { self.begin() } else { self.discard() };
        match came {
            Ok(()) if self.left == 0 && self.length > 0 => {
                self.stream.write_all(ANSWER)?;
                Ok(std::mem::take(&mut self.length))
            }
            Ok(()) => Ok(0),
            Err(error) if error.kind() == ErrorKind::WouldBlock => Ok(0),
            Err(error) => Err(error),
        }
    }

    /// Reads of a head, and of what stands behind it, little at a time.
    fn begin(&mut self) -> std::io::Result<()> {
        let mut part = [0; 256];
        let count = self.stream.read(&mut part)?;
        if count == 0 {
            return Err(ErrorKind::UnexpectedEof.into());
        }
        self.head.extend_from_slice(&part[..count]);
        if let Some(length) = whole(&self.head) {
            // The next request comes after the answer.
            self.length = length;
            self.left = length.saturating_sub(self.head.len());
            self.head.clear();
        }
        Ok(())
    }

    /// Has the kernel throw away what there is of a body. To read it would be to fetch it from the other core's cache, which keeps who makes
    /// the load for tens of microseconds from measuring.
    fn discard(&mut self) -> std::io::Result<()> {
        let most = self.left.min(DISCARDED);
        let (_, count) = rustix::net::recv(&self.stream, &mut self.discarded[..most], RecvFlags::TRUNC)?;
        if count == 0 {
            return Err(ErrorKind::UnexpectedEof.into());
        }
        self.left -= count;
        Ok(())
    }
}

/// The length of a request whose head is there whole.
fn whole(received: &[u8]) -> Option<usize> {
    let head = received.windows(4).position(|four| four == b"\r\n\r\n")? + 4;
    let text = std::str::from_utf8(&received[..head]).ok()?;
    let length = text.lines().find_map(|line| {
        let (name, value) = line.split_once(':')?;
        name.eq_ignore_ascii_case("content-length")
            .then(|| value.trim().parse().ok())?
    });
    Some(head + length.unwrap_or(0))
}

impl std::fmt::Display for Collector {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "{} requests, {} kB", self.requests, self.bytes / 1000)
    }
}
