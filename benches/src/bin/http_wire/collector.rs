//! A collector that takes whatever comes and answers at once: looked after by who makes the load, so that it takes no core away.

use std::io::{ErrorKind, Read as _, Write as _};
use std::net::{SocketAddr, TcpListener, TcpStream};
use std::time::{Duration, Instant};

/// Between two looks for new callers. One makes the kernel a socket that it frees again later, many at once, where there is no caller:
/// a look at every turn stopped the load for a quarter of a millisecond, over a hundred times a second.
const ACCEPTS: Duration = Duration::from_millis(20);

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
    part: Vec<u8>,
    received: Vec<u8>,
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
                // Small: who makes the load is busy with it meanwhile.
                part: vec![0; 16 * 1024],
                received: Vec::with_capacity(256 * 1024),
            });
        }
        Ok(())
    }
}

impl Caller {
    /// The length of the request that was answered, 0 where there was none.
    fn look(&mut self) -> std::io::Result<usize> {
        match self.stream.read(&mut self.part) {
            Ok(0) => return Err(ErrorKind::UnexpectedEof.into()),
            Ok(n) => self.received.extend_from_slice(&self.part[..n]),
            Err(error) if error.kind() == ErrorKind::WouldBlock => return Ok(0),
            Err(error) => return Err(error),
        }
        let Some(length) = whole(&self.received) else {
            return Ok(0);
        };
        // The next request comes after the answer.
        self.received.clear();
        self.stream.write_all(ANSWER)?;
        Ok(length)
    }
}

/// The length of a request that is there whole.
fn whole(received: &[u8]) -> Option<usize> {
    let head = received.windows(4).position(|four| four == b"\r\n\r\n")? + 4;
    let text = std::str::from_utf8(&received[..head]).ok()?;
    let length = text.lines().find_map(|line| {
        let (name, value) = line.split_once(':')?;
        name.eq_ignore_ascii_case("content-length")
            .then(|| value.trim().parse().ok())?
    });
    let whole = head + length.unwrap_or(0);
    (received.len() >= whole).then_some(whole)
}

impl std::fmt::Display for Collector {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "{} requests, {} kB", self.requests, self.bytes / 1000)
    }
}
