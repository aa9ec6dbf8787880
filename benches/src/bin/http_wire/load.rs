//! Requests on a schedule that does not wait for answers.

use super::collector::Collector;
use super::server::Server;
use std::io::{ErrorKind, Read as _, Write as _};
use std::net::TcpStream;
use std::time::{Duration, Instant};

const CONNECTIONS: usize = 32;
pub const REQUEST: &[u8] = b"GET /orders/7 HTTP/1.1\r\nHost: shop.example\r\nUser-Agent: curl/8.5.0\r\nAccept: */*\r\n\
    traceparent: 00-4bf92f3577b34da6a3ce929d0e0e4736-00f067aa0ba902b7-01\r\n\r\n";
/// A server that is so far behind will not catch up.
const HOPELESS: Duration = Duration::from_secs(2);
/// Turns of the loop between two looks at the collector.
const COLLECTOR_TURNS: u32 = 32;

/// Who makes it, and looks after the collector meanwhile: it never sleeps.
pub struct Load {
    pub collector: Collector,
}

impl Load {
    pub fn new() -> std::io::Result<Self> {
        Ok(Self {
            collector: Collector::start()?,
        })
    }

    /// That many requests a second for that long.
    pub fn run(&mut self, server: &mut Server, rate: f64, length: Duration) -> std::io::Result<Latencies> {
        let total = (rate * length.as_secs_f64()) as usize;
        let gap = Duration::from_secs_f64(1.0 / rate);
        let mut latencies = Latencies(Vec::with_capacity(total));
        let (mut sent, mut turn) = (0, 0_u32);
        let start = Instant::now();
        let mut due = start;
        while latencies.0.len() < total {
            let now = Instant::now();
            while sent < total
                && due <= now
                && let Some(connection) = server.free.pop()
            {
                server.busy.push(connection.send(due)?);
                server.sent += 1;
                sent += 1;
                due += gap;
            }
            if sent < total && now.saturating_duration_since(due) > HOPELESS {
                break;
            }
            let mut at = 0;
            while at < server.busy.len() {
                if server.busy[at].is_answered(server.answer)? {
                    let connection = server.busy.swap_remove(at);
                    latencies.0.push(Latency {
                        due: connection.due - start,
                        took: connection.due.elapsed(),
                    });
                    server.free.push(connection);
                } else {
                    at += 1;
                }
            }
            turn += 1;
            if turn.is_multiple_of(COLLECTOR_TURNS) {
                self.collector.look()?;
            }
        }
        while !server.busy.is_empty() {
            if server.busy[0].is_answered(server.answer)? {
                server.free.push(server.busy.swap_remove(0));
            }
        }
        let never = Latency {
            due: length,
            took: HOPELESS,
        };
        latencies.0.resize(total, never);
        Ok(latencies)
    }

    /// Answers a second where every connection asks again at once: an upper bound on what is stable.
    pub fn flat_out(server: &mut Server, length: Duration) -> std::io::Result<f64> {
        let start = Instant::now();
        let mut answers = 0_u32;
        while start.elapsed() < length {
            while let Some(connection) = server.free.pop() {
                server.busy.push(connection.send(Instant::now())?);
                server.sent += 1;
            }
            for at in (0..server.busy.len()).rev() {
                if server.busy[at].is_answered(server.answer)? {
                    answers += 1;
                    server.free.push(server.busy.swap_remove(at));
                }
            }
        }
        let rate = f64::from(answers) / start.elapsed().as_secs_f64();
        while let Some(connection) = server.busy.last_mut() {
            if connection.is_answered(server.answer)? {
                server.free.extend(server.busy.pop());
            }
        }
        Ok(rate)
    }
}

/// Of one request.
#[derive(Clone, Copy)]
struct Latency {
    /// Since the first one was.
    due: Duration,
    took: Duration,
}

/// In the order of the answers.
pub struct Latencies(Vec<Latency>);

impl Latencies {
    /// In microseconds.
    pub fn percentile(&self, percent: f64) -> f64 {
        percentile(self.0.iter(), percent)
    }

    /// A percentile of each of the stretches of such a length that the requests were due in.
    pub fn windows(&self, length: Duration, percent: f64) -> Vec<f64> {
        let mut sorted = self.0.clone();
        sorted.sort_unstable_by_key(|latency| latency.due);
        let of_window = |latency: &Latency| latency.due.as_nanos() / length.as_nanos();
        sorted
            .chunk_by(|one, other| of_window(one) == of_window(other))
            .map(|window| percentile(window.iter(), percent))
            .collect()
    }

    /// Those of several.
    pub fn joined<'a>(several: impl IntoIterator<Item = &'a Self>) -> Self {
        Self(several.into_iter().flat_map(|one| one.0.iter().copied()).collect())
    }

    /// Whether nothing piles up at such a rate: the end is as quick as the beginning, and by then no more requests are under way than
    /// there are connections for.
    pub fn is_stable(&self, rate: f64) -> bool {
        let quarter = self.0.len() / 4;
        let median = |part: &[Latency]| percentile(part.iter(), 50.0);
        let (first, last) = (median(&self.0[..quarter]), median(&self.0[self.0.len() - quarter..]));
        last <= first * 2.0 && last * rate / 1e6 <= CONNECTIONS as f64
    }
}

fn percentile<'a>(latencies: impl Iterator<Item = &'a Latency>, percent: f64) -> f64 {
    let mut sorted: Vec<_> = latencies.map(|latency| latency.took).collect();
    sorted.sort_unstable();
    let at = (sorted.len() as f64 * percent / 100.0) as usize;
    sorted[at.min(sorted.len() - 1)].as_secs_f64() * 1e6
}

/// One request at a time.
pub struct Connection {
    stream: TcpStream,
    /// When the request under way was to be sent.
    due: Instant,
    got: usize,
}

impl Connection {
    /// Those of a server.
    pub fn all(address: &str) -> std::io::Result<Vec<Self>> {
        let open = |_| {
            let stream = TcpStream::connect(address)?;
            stream.set_nodelay(true)?;
            stream.set_nonblocking(true)?;
            Ok(Self {
                stream,
                due: Instant::now(),
                got: 0,
            })
        };
        (0..CONNECTIONS).map(open).collect()
    }

    fn send(mut self, due: Instant) -> std::io::Result<Self> {
        self.stream.write_all(REQUEST)?;
        (self.due, self.got) = (due, 0);
        Ok(self)
    }

    fn is_answered(&mut self, answer: usize) -> std::io::Result<bool> {
        let mut bytes = [0; 1024];
        match self.stream.read(&mut bytes) {
            Ok(0) => Err(ErrorKind::UnexpectedEof.into()),
            Ok(n) => {
                self.got += n;
                Ok(self.got >= answer)
            }
            Err(error) if error.kind() == ErrorKind::WouldBlock => Ok(false),
            Err(error) => Err(error),
        }
    }
}
