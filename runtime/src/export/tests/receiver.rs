//! A collector for tests: HTTP/1.1 on loopback by hand, so that it can misbehave in every way.

use flate2::read::GzDecoder;
use opentelemetry_proto::tonic::collector::trace::v1::{
    ExportTracePartialSuccess, ExportTraceServiceRequest, ExportTraceServiceResponse,
};
use prost::Message;
use std::collections::VecDeque;
use std::io::{BufRead, BufReader, Read, Write};
use std::net::{SocketAddr, TcpListener, TcpStream};
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex};
use std::thread;
use std::time::{Duration, Instant};

/// How one request is answered.
#[derive(Clone, Debug)]
pub(super) enum Answer {
    Ok,
    Status(u16, Option<String>),
    Partial(i64, &'static str),
    /// The connection is closed without an answer, the request read.
    Close,
    /// Closed in the middle of an answer that promised more.
    Half,
    /// No answer for so long.
    Hang(Duration),
    /// A good answer after so long.
    #[cfg(feature = "spool")]
    Late(Duration),
    /// One byte in so long.
    Drip(Duration),
    /// 200 and bytes that are no protobuf.
    Garbage,
    /// 200 and a body of that type.
    Body(&'static str, &'static str),
    /// No HTTP.
    NotHttp,
    /// 200 and so many bytes.
    Huge(usize),
}

#[derive(Clone, Debug)]
pub(super) struct Received {
    pub(super) at: Instant,
    pub(super) path: String,
    pub(super) headers: Vec<(String, String)>,
    /// Unzipped.
    pub(super) body: Vec<u8>,
}

impl Received {
    pub(super) fn header(&self, name: &str) -> Option<&str> {
        self.headers
            .iter()
            .find(|(n, _)| n == name)
            .map(|(_, value)| value.as_str())
    }

    /// The names of the spans in it.
    pub(super) fn spans(&self) -> Vec<String> {
        let request = ExportTraceServiceRequest::decode(&self.body[..]).unwrap();
        let scopes = request.resource_spans.into_iter().flat_map(|r| r.scope_spans);
        scopes.flat_map(|s| s.spans).map(|span| span.name).collect()
    }
}

#[derive(Default)]
struct State {
    script: Mutex<VecDeque<Answer>>,
    requests: Mutex<Vec<Received>>,
    stop: AtomicBool,
}

pub(super) struct Receiver {
    pub(super) address: SocketAddr,
    state: Arc<State>,
}

/// What a connection becomes before HTTP is spoken on it; `None` closes it.
type Wrap = Arc<dyn Fn(TcpStream) -> Option<Box<dyn Stream>> + Send + Sync>;

pub(super) trait Stream: Read + Write {}
impl<S: Read + Write> Stream for S {}

impl Receiver {
    pub(super) fn start() -> Self {
        Self::scripted([])
    }

    /// Answers the first requests so, all others well.
    pub(super) fn scripted(script: impl IntoIterator<Item = Answer>) -> Self {
        Self::on(TcpListener::bind("127.0.0.1:0").unwrap(), script)
    }

    /// On an address that was used before.
    pub(super) fn at(address: SocketAddr) -> Self {
        Self::on(TcpListener::bind(address).unwrap(), [])
    }

    fn on(listener: TcpListener, script: impl IntoIterator<Item = Answer>) -> Self {
        Self::wrapped(listener, script, Arc::new(|stream| Some(Box::new(stream))))
    }

    pub(super) fn wrapped(listener: TcpListener, script: impl IntoIterator<Item = Answer>, wrap: Wrap) -> Self {
        let address = listener.local_addr().unwrap();
        let state = Arc::new(State {
            script: Mutex::new(script.into_iter().collect()),
            ..State::default()
        });
        let shared = state.clone();
        thread::spawn(move || {
            for stream in listener.incoming() {
                if shared.stop.load(Ordering::SeqCst) {
                    return;
                }
                let Ok(stream) = stream else { continue };
                let (shared, wrap) = (shared.clone(), wrap.clone());
                thread::spawn(move || {
                    if let Some(stream) = wrap(stream) {
                        serve(stream, &shared);
                    }
                });
            }
        });
        Self { address, state }
    }

    pub(super) fn url(&self) -> String {
        format!("http://{}", self.address)
    }

    pub(super) fn requests(&self) -> Vec<Received> {
        self.state.requests.lock().unwrap().clone()
    }

    pub(super) fn spans(&self) -> Vec<String> {
        self.requests().iter().flat_map(Received::spans).collect()
    }

    /// Waits for so many requests.
    pub(super) fn wait_for(&self, count: usize) -> Vec<Received> {
        let until = Instant::now() + Duration::from_secs(30);
        loop {
            let requests = self.requests();
            if requests.len() >= count {
                return requests;
            }
            assert!(Instant::now() < until, "{} of {count} requests came", requests.len());
            thread::sleep(Duration::from_millis(5));
        }
    }
}

impl Drop for Receiver {
    fn drop(&mut self) {
        self.state.stop.store(true, Ordering::SeqCst);
        // The accepting thread looks.
        let _ = TcpStream::connect(self.address);
    }
}

fn serve(stream: Box<dyn Stream>, state: &State) {
    let mut reader = BufReader::new(stream);
    while let Some(received) = read(&mut reader) {
        let answer = state.script.lock().unwrap().pop_front().unwrap_or(Answer::Ok);
        state.requests.lock().unwrap().push(received);
        if state.stop.load(Ordering::SeqCst) || reply(reader.get_mut(), answer).is_none() {
            return;
        }
    }
}

fn read(reader: &mut BufReader<Box<dyn Stream>>) -> Option<Received> {
    let mut line = String::new();
    reader.read_line(&mut line).ok()?;
    let path = line.split(' ').nth(1)?.to_owned();
    let mut headers = Vec::new();
    loop {
        let mut line = String::new();
        reader.read_line(&mut line).ok()?;
        let Some((name, value)) = line.trim().split_once(':') else {
            break;
        };
        headers.push((name.to_ascii_lowercase(), value.trim().to_owned()));
    }
    let length = headers
        .iter()
        .find(|(name, _)| name == "content-length")?
        .1
        .parse()
        .ok()?;
    let mut body = vec![0; length];
    reader.read_exact(&mut body).ok()?;
    let mut received = Received {
        at: Instant::now(),
        path,
        headers,
        body,
    };
    if received.header("content-encoding") == Some("gzip") {
        let mut plain = Vec::new();
        GzDecoder::new(&received.body[..]).read_to_end(&mut plain).ok()?;
        received.body = plain;
    }
    Some(received)
}

/// `None` when the connection is over.
fn reply(stream: &mut dyn Stream, answer: Answer) -> Option<()> {
    let mut ok = |body: &[u8], length: usize| {
        let head =
            format!("HTTP/1.1 200 OK\r\nContent-Type: application/x-protobuf\r\nContent-Length: {length}\r\n\r\n");
        stream
            .write_all(head.as_bytes())
            .and_then(|()| stream.write_all(body))
            .ok()
    };
    match answer {
        Answer::Ok => ok(b"", 0),
        Answer::Partial(rejected, message) => {
            let body = ExportTraceServiceResponse {
                partial_success: Some(ExportTracePartialSuccess {
                    rejected_spans: rejected,
                    error_message: message.to_owned(),
                }),
            }
            .encode_to_vec();
            ok(&body, body.len())
        }
        Answer::Status(status, retry_after) => {
            let retry_after = retry_after.map_or(String::new(), |value| format!("Retry-After: {value}\r\n"));
            let text = format!("HTTP/1.1 {status} X\r\n{retry_after}Content-Length: 4\r\n\r\nnope");
            stream.write_all(text.as_bytes()).ok()
        }
        Answer::Close => None,
        Answer::Half => {
            ok(b"\x0a", 100);
            None
        }
        Answer::Hang(time) => {
            thread::sleep(time);
            None
        }
        #[cfg(feature = "spool")]
        Answer::Late(time) => {
            thread::sleep(time);
            ok(b"", 0)
        }
        Answer::Drip(pause) => {
            for byte in b"HTTP/1.1 200 OK\r\nContent-Length: 0\r\n\r\n" {
                stream.write_all(&[*byte]).ok()?;
                thread::sleep(pause);
            }
            Some(())
        }
        Answer::Garbage => ok(b"<html>welcome</html>", 20),
        Answer::Body(content_type, body) => {
            let length = body.len();
            let head = format!("HTTP/1.1 200 OK\r\nContent-Type: {content_type}\r\nContent-Length: {length}\r\n\r\n");
            stream.write_all(head.as_bytes()).ok()?;
            stream.write_all(body.as_bytes()).ok()
        }
        Answer::NotHttp => {
            stream.write_all(b"\x00\x00\x12\x04\x00\x00\x00\x00\x00SETTINGS").ok()?;
            None
        }
        Answer::Huge(size) => {
            ok(b"", size)?;
            let block = vec![0x0a; 64 << 10];
            for _ in 0..size.div_ceil(block.len()) {
                stream.write_all(&block).ok()?;
            }
            None
        }
    }
}
