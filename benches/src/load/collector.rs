//! A collector over HTTP or gRPC that is in whatever mood it is told to be, and knows which numbers arrived.

use super::arrived::Arrived;
use super::grpc;
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
    /// Answered with one byte a second.
    Drip,
    /// Answered with bytes that are no answer.
    Garbage,
    /// Answered with 64 MiB.
    Huge,
}

/// All of them.
pub const MOODS: [Mood; 9] = [
    Mood::Well,
    Mood::Gone,
    Mood::Silent,
    Mood::Unavailable,
    Mood::Reset,
    Mood::Partial,
    Mood::Drip,
    Mood::Garbage,
    Mood::Huge,
];

impl Mood {
    /// By its name in lower case.
    pub fn named(name: &str) -> Option<Self> {
        MOODS
            .into_iter()
            .find(|mood| format!("{mood:?}").eq_ignore_ascii_case(name))
    }

    /// What is sent meanwhile may not be sent again: it is lost.
    pub const fn loses(self) -> bool {
        matches!(self, Self::Partial | Self::Garbage | Self::Huge)
    }

    /// Who waits for an answer would wait for long after the mood has changed.
    const fn holds(self) -> bool {
        matches!(self, Self::Silent | Self::Drip)
    }
}

/// What is spoken.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Protocol {
    /// HTTP/1.1 with protobuf.
    #[default]
    Http,
    /// gRPC.
    Grpc,
}

impl Protocol {
    /// As `OTEL_EXPORTER_OTLP_PROTOCOL` has it, and `--protocol`.
    pub const fn name(self) -> &'static str {
        match self {
            Self::Http => "http/protobuf",
            Self::Grpc => "grpc",
        }
    }

    /// The one that `--protocol` asks for.
    ///
    /// # Panics
    /// When it is none.
    pub fn asked() -> Self {
        let Some(asked) = super::options::value::<String>("--protocol") else {
            return Self::default();
        };
        let named = [Self::Http, Self::Grpc].into_iter().find(|known| known.name() == asked);
        named.expect("--protocol http/protobuf or grpc")
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
pub(super) struct Shared {
    protocol: Protocol,
    mood: AtomicU8,
    closed: AtomicBool,
    heard: Mutex<Heard>,
    open: Mutex<Vec<TcpStream>>,
}

impl Shared {
    pub(super) fn mood(&self) -> Mood {
        MOODS[usize::from(self.mood.load(Ordering::SeqCst))]
    }

    /// Keeps what is in a request; the answer's bytes.
    pub(super) fn take(&self, path: &str, body: &[u8], partial: bool) -> Vec<u8> {
        let heard = &mut lock(&self.heard);
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
}

/// What stands where an answer is to be.
pub(super) const GARBAGE: &[u8] = b"<html>welcome</html>";
/// The length of an answer that is too long.
pub(super) const HUGE: usize = 64 << 20;

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
    pub fn start(protocol: Protocol) -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").expect("a port");
        let mut collector = Self {
            address: listener.local_addr().expect("an address"),
            shared: Arc::new(Shared {
                protocol,
                ..Shared::default()
            }),
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
                thread::spawn(move || match shared.protocol {
                    Protocol::Http => drop(serve(&stream, &shared)),
                    Protocol::Grpc => grpc::serve(stream, &shared),
                });
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
        if mood == Mood::Gone || before.holds() {
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
        if shared.mood() == Mood::Reset {
            std::io::copy(&mut reader.by_ref().take(length / 2), &mut std::io::sink()).ok()?;
            let _ = stream.shutdown(Shutdown::Both);
            return None;
        }
        let mut body = vec![0; usize::try_from(length).ok()?];
        reader.read_exact(&mut body).ok()?;
        let mut writer = stream;
        match shared.mood() {
            Mood::Well => writer.write_all(&whole(&shared.take(&path, &body, false))).ok()?,
            Mood::Partial => writer.write_all(&whole(&shared.take(&path, &body, true))).ok()?,
            Mood::Gone | Mood::Reset => return None,
            Mood::Silent => {
                // Until the connection is closed from one of its sides.
                let _ = reader.read(&mut [0]);
                return None;
            }
            Mood::Unavailable => writer
                .write_all(b"HTTP/1.1 503 Not now\r\ncontent-length: 0\r\n\r\n")
                .ok()?,
            Mood::Drip => {
                for byte in whole(b"") {
                    writer.write_all(&[byte]).ok()?;
                    thread::sleep(Duration::from_secs(1));
                }
            }
            Mood::Garbage => writer.write_all(&whole(GARBAGE)).ok()?,
            Mood::Huge => {
                writer.write_all(&head_of_answer(HUGE)).ok()?;
                let block = vec![0x0a; 64 << 10];
                for _ in 0..HUGE / block.len() {
                    writer.write_all(&block).ok()?;
                }
            }
        }
    }
}

fn head_of_answer(length: usize) -> Vec<u8> {
    format!("HTTP/1.1 200 OK\r\ncontent-type: application/x-protobuf\r\ncontent-length: {length}\r\n\r\n").into_bytes()
}

/// An answer in one piece: head and body apart would wait for each other's acknowledgement.
fn whole(answer: &[u8]) -> Vec<u8> {
    let mut whole = head_of_answer(answer.len());
    whole.extend(answer);
    whole
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
