//! Promise: over the wire, at half the rate that the bare server can take, the layer moves the 99th percentile by at most 10 %.
//!
//! `cargo run --release -p benches --features servers --bin http_wire` (a minute and a half, on a quiet machine of two cores or
//! more). The servers are processes of their own, the runs of bare and layered alternate, and the medians of 9 are compared. The
//! client keeps to its schedule whatever the server does, and counts from when a request was due.

use axum::Router;
use axum::routing::get;
use std::io::{BufRead as _, BufReader, ErrorKind, Read as _, Write as _};
use std::net::TcpStream;
use std::process::{Child, Command, Stdio};
use std::time::{Duration, Instant};

const RUNS: usize = 9;
const RUN: Duration = Duration::from_secs(4);
const CONNECTIONS: usize = 16;
const REQUEST: &[u8] = b"GET /orders/7 HTTP/1.1\r\nHost: shop.example\r\nUser-Agent: curl/8.5.0\r\nAccept: */*\r\n\
    traceparent: 00-4bf92f3577b34da6a3ce929d0e0e4736-00f067aa0ba902b7-01\r\n\r\n";

fn main() -> Result<(), Box<dyn std::error::Error>> {
    if let Some(kind) = std::env::args().nth(1) {
        return serve(&kind);
    }
    let (bare, layered) = (Server::start("bare")?, Server::start("layered")?);
    let capacity = capacity(&bare)?;
    layered.run(capacity / 2.0)?;
    println!("bare server: {capacity:.0} requests a second over {CONNECTIONS} connections; each run at half of that");
    let (mut without, mut with) = (Vec::new(), Vec::new());
    for run in 0..RUNS {
        // Which is first alternates too.
        for turn in 0..2 {
            if (run + turn) % 2 == 0 {
                without.push(bare.run(capacity / 2.0)?);
            } else {
                with.push(layered.run(capacity / 2.0)?);
            }
        }
    }
    let (without, with) = (Spread::of(without), Spread::of(with));
    println!("p99, median of {RUNS} [lowest to highest]");
    println!("bare     {without}");
    println!("layered  {with}");
    println!("layered / bare  {:.3}   (bar 1.10)", with.median / without.median);
    Ok(())
}

struct Spread {
    lowest: f64,
    median: f64,
    highest: f64,
}

impl Spread {
    fn of(mut micros: Vec<f64>) -> Self {
        micros.sort_by(f64::total_cmp);
        Self {
            lowest: micros[0],
            median: micros[micros.len() / 2],
            highest: micros[micros.len() - 1],
        }
    }
}

impl std::fmt::Display for Spread {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "{:.1} µs [{:.1} to {:.1}]", self.median, self.lowest, self.highest)
    }
}

/// The server's side, in a process of its own.
fn serve(kind: &str) -> Result<(), Box<dyn std::error::Error>> {
    let mut router = Router::new().route("/orders/{id}", get(|| async { "an order" }));
    if kind == "layered" {
        vitalsign::__private::discard::install(None);
        router = router.layer(vitalsign::http::layer().access_line(false));
    }
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build()?;
    runtime.block_on(async {
        let listener = tokio::net::TcpListener::bind("127.0.0.1:0").await?;
        println!("{}", listener.local_addr()?);
        axum::serve(listener, router).await?;
        Ok(())
    })
}

struct Server {
    child: Child,
    address: String,
    /// Of one answer: all are alike.
    answer: usize,
}

impl Drop for Server {
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

impl Server {
    fn start(kind: &str) -> Result<Self, Box<dyn std::error::Error>> {
        let mut child = Command::new(std::env::current_exe()?)
            .arg(kind)
            .stdout(Stdio::piped())
            .spawn()?;
        let mut address = String::new();
        BufReader::new(child.stdout.take().ok_or("its output")?).read_line(&mut address)?;
        let address = address.trim().to_owned();
        let mut stream = TcpStream::connect(&address)?;
        stream.write_all(REQUEST)?;
        stream.set_read_timeout(Some(Duration::from_millis(300)))?;
        let mut answer = Vec::new();
        // Until it is silent.
        let _ = stream.read_to_end(&mut answer);
        if !answer.starts_with(b"HTTP/1.1 200") || !answer.ends_with(b"an order") {
            return Err(format!("{}", String::from_utf8_lossy(&answer)).into());
        }
        Ok(Self {
            child,
            address,
            answer: answer.len(),
        })
    }

    fn connect(&self) -> std::io::Result<Vec<Connection>> {
        (0..CONNECTIONS)
            .map(|_| {
                let stream = TcpStream::connect(&self.address)?;
                stream.set_nodelay(true)?;
                stream.set_nonblocking(true)?;
                Ok(Connection {
                    stream,
                    due: None,
                    left: 0,
                })
            })
            .collect()
    }

    /// The 99th percentile at that rate, in microseconds.
    fn run(&self, rate: f64) -> std::io::Result<f64> {
        let mut connections = self.connect()?;
        let start = Instant::now();
        let total = (rate * RUN.as_secs_f64()) as u32;
        let (mut sent, mut latencies) = (0, Vec::with_capacity(total as usize));
        while latencies.len() < total as usize {
            let now = Instant::now();
            let due = start + Duration::from_secs_f64(f64::from(sent) / rate);
            if sent < total
                && due <= now
                && let Some(free) = connections.iter_mut().find(|connection| connection.due.is_none())
            {
                free.send(due, self.answer)?;
                sent += 1;
            }
            for connection in connections.iter_mut().filter(|connection| connection.due.is_some()) {
                if let Some(due) = connection.answered()? {
                    latencies.push(due.elapsed().as_nanos() as f64 / 1000.0);
                }
            }
        }
        latencies.sort_by(f64::total_cmp);
        Ok(latencies[latencies.len() * 99 / 100])
    }
}

/// Answers a second where every connection asks again at once.
fn capacity(server: &Server) -> std::io::Result<f64> {
    let mut connections = server.connect()?;
    let start = Instant::now();
    let mut answers = 0_u32;
    while start.elapsed() < RUN {
        for connection in &mut connections {
            if connection.due.is_none() {
                connection.send(Instant::now(), server.answer)?;
            } else if connection.answered()?.is_some() {
                answers += 1;
            }
        }
    }
    Ok(f64::from(answers) / start.elapsed().as_secs_f64())
}

struct Connection {
    stream: TcpStream,
    /// When the request under way was due.
    due: Option<Instant>,
    left: usize,
}

impl Connection {
    fn send(&mut self, due: Instant, answer: usize) -> std::io::Result<()> {
        self.stream.write_all(REQUEST)?;
        (self.due, self.left) = (Some(due), answer);
        Ok(())
    }

    /// When the request was due that has just been answered whole.
    fn answered(&mut self) -> std::io::Result<Option<Instant>> {
        let mut bytes = [0; 1024];
        match self.stream.read(&mut bytes) {
            Ok(0) => Err(ErrorKind::UnexpectedEof.into()),
            Ok(n) => {
                self.left = self.left.saturating_sub(n);
                Ok(if self.left == 0 { self.due.take() } else { None })
            }
            Err(error) if error.kind() == ErrorKind::WouldBlock => Ok(None),
            Err(error) => Err(error),
        }
    }
}
