//! A collector over HTTP that is in whatever mood it is told to be, and knows which numbers arrived.

use super::arrived::Arrived;
use opentelemetry_proto::tonic::collector::trace::v1::{
    ExportTracePartialSuccess, ExportTraceServiceRequest, ExportTraceServiceResponse,
};
use opentelemetry_proto::tonic::common::v1::any_value::Value;
use opentelemetry_proto::tonic::trace::v1::Span;
use prost::Message as _;
use std::io::{BufRead as _, BufReader, Read as _, Write as _};
use std::net::{Shutdown, SocketAddr, TcpListener, TcpStream};
use std::sync::atomic::{AtomicBool, AtomicU8, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::thread::{self, JoinHandle};
use std::time::{Duration, Instant};

/// How requests are met.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Mood {
    /// Taken and answered.
    Well,
    /// Nobody listens.
    Gone,
    /// Read, and never answered.
    Silent,
    /// 503.
    Unavailable,
    /// The connection is reset in the middle of the body.
    Reset,
    /// The last span of each request is rejected.
    Partial,
}

/// All of them.
pub const MOODS: [Mood; 6] = [
    Mood::Well,
    Mood::Gone,
    Mood::Silent,
    Mood::Unavailable,
    Mood::Reset,
    Mood::Partial,
];

impl Mood {
    /// By its name in lower case.
    pub fn named(name: &str) -> Option<Self> {
        MOODS
            .into_iter()
            .find(|mood| format!("{mood:?}").eq_ignore_ascii_case(name))
    }
}

/// What arrived.
#[derive(Default)]
pub struct Heard {
    /// The numbers of the spans that were taken.
    pub spans: Arrived,
    /// Spans that were refused.
    pub rejected: u64,
    /// Requests whose first span had arrived before.
    pub batches_again: u64,
    /// Log records.
    pub logs: u64,
    /// Requests with metrics.
    pub pushes: u64,
}

#[derive(Default)]
struct Shared {
    mood: AtomicU8,
    closed: AtomicBool,
    heard: Mutex<Heard>,
    open: Mutex<Vec<TcpStream>>,
}

/// A running one.
pub struct Collector {
    /// Where it listens.
    pub address: SocketAddr,
    shared: Arc<Shared>,
    accepting: Option<JoinHandle<()>>,
}

fn lock<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}

impl Collector {
    /// On a free port.
    ///
    /// # Panics
    /// When there is none.
    #[must_use]
    pub fn start() -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").expect("a port");
        let mut collector = Self {
            address: listener.local_addr().expect("an address"),
            shared: Arc::default(),
            accepting: None,
        };
        collector.listen(listener);
        collector
    }

    fn listen(&mut self, listener: TcpListener) {
        let shared = Arc::clone(&self.shared);
        shared.closed.store(false, Ordering::SeqCst);
        self.accepting = Some(thread::spawn(move || {
            for stream in listener.incoming() {
                if shared.closed.load(Ordering::SeqCst) {
                    return;
                }
                let Ok(stream) = stream else { continue };
                if let Ok(copy) = stream.try_clone() {
                    let mut open = lock(&shared.open);
                    open.retain(|stream| stream.peer_addr().is_ok());
                    open.push(copy);
                }
                let shared = Arc::clone(&shared);
                thread::spawn(move || serve(&stream, &shared));
            }
        }));
    }

    /// What arrived so far.
    pub fn heard(&self) -> MutexGuard<'_, Heard> {
        lock(&self.shared.heard)
    }

    /// From now on.
    ///
    /// # Panics
    /// When its port was taken by another meanwhile.
    pub fn set(&mut self, mood: Mood) {
        let before = MOODS[usize::from(self.shared.mood.swap(mood as u8, Ordering::SeqCst))];
        if mood == Mood::Gone && before != Mood::Gone {
            self.shared.closed.store(true, Ordering::SeqCst);
            // The accepting thread looks.
            let _ = TcpStream::connect(self.address);
            let _ = self.accepting.take().map(JoinHandle::join);
        }
        // Who waits for an answer that will not come hears so now, as when a machine is back.
        if mood == Mood::Gone || before == Mood::Silent {
            for stream in lock(&self.shared.open).drain(..) {
                let _ = stream.shutdown(Shutdown::Both);
            }
        }
        if mood != Mood::Gone && before == Mood::Gone {
            let until = Instant::now() + Duration::from_secs(10);
            let listener = loop {
                match TcpListener::bind(self.address) {
                    Ok(listener) => break listener,
                    Err(error) => assert!(Instant::now() < until, "{}: {error}", self.address),
                }
                thread::sleep(Duration::from_millis(10));
            };
            self.listen(listener);
        }
    }
}

fn serve(stream: &TcpStream, shared: &Shared) -> Option<()> {
    let mut reader = BufReader::new(stream);
    stream.set_nodelay(true).ok()?;
    loop {
        let (path, length) = head(&mut reader)?;
        let mood = MOODS[usize::from(shared.mood.load(Ordering::SeqCst))];
        if mood == Mood::Reset {
            std::io::copy(&mut reader.by_ref().take(length / 2), &mut std::io::sink()).ok()?;
            let _ = stream.shutdown(Shutdown::Both);
            return None;
        }
        let mut body = vec![0; usize::try_from(length).ok()?];
        reader.read_exact(&mut body).ok()?;
        let answer = match MOODS[usize::from(shared.mood.load(Ordering::SeqCst))] {
            Mood::Well => take(&path, &body, &mut lock(&shared.heard), false),
            Mood::Partial => take(&path, &body, &mut lock(&shared.heard), true),
            Mood::Gone | Mood::Reset => return None,
            Mood::Silent => {
                // Until the connection is closed from one of its sides.
                let _ = reader.read(&mut [0]);
                return None;
            }
            Mood::Unavailable => {
                let mut writer = stream;
                writer
                    .write_all(b"HTTP/1.1 503 Not now\r\ncontent-length: 0\r\n\r\n")
                    .ok()?;
                continue;
            }
        };
        let mut whole = format!(
            "HTTP/1.1 200 OK\r\ncontent-type: application/x-protobuf\r\ncontent-length: {}\r\n\r\n",
            answer.len()
        )
        .into_bytes();
        whole.extend(answer);
        // In one piece: head and body apart would wait for each other's acknowledgement.
        let mut writer = stream;
        writer.write_all(&whole).ok()?;
    }
}

/// Path and length of the body.
fn head(reader: &mut BufReader<&TcpStream>) -> Option<(String, u64)> {
    let mut line = String::new();
    if reader.read_line(&mut line).ok()? == 0 {
        return None;
    }
    let path = line.split(' ').nth(1)?.to_owned();
    let mut length = 0;
    loop {
        line.clear();
        reader.read_line(&mut line).ok()?;
        let header = line.trim().to_ascii_lowercase();
        if header.is_empty() {
            return Some((path, length));
        }
        if let Some(value) = header.strip_prefix("content-length:") {
            length = value.trim().parse().ok()?;
        }
    }
}

/// Keeps what is in a request; the answer's bytes.
fn take(path: &str, body: &[u8], heard: &mut Heard, partial: bool) -> Vec<u8> {
    match path {
        "/v1/traces" => take_spans(body, heard, partial),
        "/v1/logs" => {
            heard.logs += log_records(body);
            Vec::new()
        }
        _ => {
            heard.pushes += 1;
            Vec::new()
        }
    }
}

fn take_spans(body: &[u8], heard: &mut Heard, partial: bool) -> Vec<u8> {
    let mut numbers = numbers(body);
    let mut answer = ExportTraceServiceResponse::default();
    if partial && numbers.pop().is_some() {
        heard.rejected += 1;
        answer.partial_success = Some(ExportTracePartialSuccess {
            rejected_spans: 1,
            error_message: "one too many".into(),
        });
    }
    for (index, number) in numbers.into_iter().enumerate() {
        if !heard.spans.add(number) && index == 0 {
            heard.batches_again += 1;
        }
    }
    answer.encode_to_vec()
}

fn log_records(body: &[u8]) -> u64 {
    use opentelemetry_proto::tonic::collector::logs::v1::ExportLogsServiceRequest;
    let request = ExportLogsServiceRequest::decode(body).unwrap_or_default();
    let scopes = request.resource_logs.iter().flat_map(|resource| &resource.scope_logs);
    scopes.map(|scope| scope.log_records.len() as u64).sum()
}

/// The numbers of the spans in a request.
///
/// # Panics
/// When it is no request, or a span has no number: then nothing that is counted means anything.
#[must_use]
pub fn numbers(body: &[u8]) -> Vec<u64> {
    let request = ExportTraceServiceRequest::decode(body).expect("a request of OTLP");
    let scopes = request.resource_spans.iter().flat_map(|resource| &resource.scope_spans);
    scopes.flat_map(|scope| &scope.spans).map(number).collect()
}

fn number(span: &Span) -> u64 {
    let attribute = span.attributes.iter().find(|attribute| attribute.key == "n");
    match attribute.and_then(|attribute| attribute.value.as_ref()?.value.as_ref()) {
        Some(Value::IntValue(number)) => number.cast_unsigned(),
        other => panic!("a span without a number: {other:?}"),
    }
}
