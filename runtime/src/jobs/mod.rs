//! Jobs: messages that one part of a system leaves in a queue and another works off, with the trace taken along.
//!
//! A [`Job`] is a payload with what has to travel beside it: the sender's trace context, when it was put into the queue, and which
//! attempt this is. `#[observed(job = "…")]` on the function that works it off finds it among the arguments:
//!
//! ```
//! use vitalsign::jobs::Job;
//! use vitalsign::{observed, traced};
//!
//! struct Mail {
//!     to: String,
//! }
//!
//! #[traced(kind = producer)]
//! fn enqueue(queue: &mut Vec<Job<Mail>>, to: String) {
//!     queue.push(Job::new(Mail { to }));
//! }
//!
//! #[observed(job = "send_mail")]
//! async fn send_mail(job: Job<Mail>) -> Result<(), std::io::Error> {
//!     println!("to {}, attempt {}", job.to, job.attempt());
//!     Ok(())
//! }
//! ```
//!
//! With the feature `serde` a job is `Serialize` and `Deserialize`, so it goes through any broker. A queue with a form of its own
//! implements [`Message`] for its messages; whatever [`parent`](crate::traced) accepts, headers of any kind among it, is a message
//! already. `job(message = expr)` names it where it is no argument.
//!
//! # Headers
//!
//! Slices, vectors and maps of pairs carry a context, their keys and values text or bytes: `Vec<(String, Vec<u8>)>`,
//! `HashMap<String, Vec<u8>>`, `[(&str, &[u8])]`. Written are vectors, and maps of text; a map of bytes is collected from a vector. What
//! a client has in a type of its own becomes such a list on the way, as with the headers of Kafka, where a value may be missing:
//!
//! ```
//! # struct Header<'a> { key: &'a str, value: Option<&'a [u8]> }
//! # let headers = [Header {
//! #     key: "traceparent",
//! #     value: Some(b"00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01"),
//! # }];
//! // Received: `headers` is what the client gives for the record.
//! let carried: Vec<_> = headers.iter().filter_map(|header| Some((header.key, header.value?))).collect();
//! let sender = vitalsign::trace::extract(&carried);
//! assert_eq!(sender.expect("a context").span_id.to_string(), "b7ad6b7169203331");
//!
//! // To be sent: the client takes them one by one.
//! let mut carried = Vec::<(String, Vec<u8>)>::new();
//! vitalsign::current().inject(&mut carried);
//! ```
//!
//! # What is recorded
//!
//! The span is of kind consumer and called `process QUEUE`. It is linked to the sender's span. Where no span is current when the job
//! begins, as in a worker's loop, the sender's is its parent too, so that both stand in one trace; `traced(root)` begins a new one.
//!
//! | metric | unit | labels |
//! |---|---|---|
//! | `messaging.process.duration` | s | `messaging.system`, `messaging.destination.name`, `messaging.operation.name`, `error.type` of a failure |
//! | `job.wait.duration`: from the queue to the beginning of the attempt | s | `job.name`, `messaging.destination.name` |
//! | `job.attempts` | `{attempt}` | `job.name`, `messaging.destination.name`, `outcome`, `job.retry` |
//! | `job.in_flight` | `{job}` | `job.name`, `messaging.destination.name` |
//! | [`job.queue.depth`](queue_depth) | `{job}` | `messaging.system`, `messaging.destination.name` |
//!
//! The first is that of the semantic conventions; they have no words for the others. A failure is an error, a panic, or a future dropped
//! half way (`error.type` is `panic` and `cancelled`).

mod carrier;
mod depth;
mod job;
pub(crate) mod measure;

pub use depth::{QueueDepth, queue_depth};
pub use job::Job;

use crate::trace::{AsParent, SpanContext};
use std::time::SystemTime;

/// What a worker is handed: who sent it, when, and how often it was tried.
///
/// Whatever [`parent`](crate::traced) accepts is one that knows its sender only.
///
/// # Examples
///
/// ```
/// use std::collections::HashMap;
/// use vitalsign::jobs::Message;
/// use vitalsign::trace::{SpanContext, extract};
///
/// struct Delivery {
///     headers: HashMap<String, String>,
///     redelivered: u32,
/// }
///
/// impl Message for Delivery {
///     fn context(&self) -> Option<SpanContext> {
///         extract(&self.headers)
///     }
///     fn attempt(&self) -> Option<u32> {
///         Some(self.redelivered + 1)
///     }
/// }
///
/// #[vitalsign::observed(job(name = "resize", system = "rabbitmq", queue = "images"))]
/// fn resize(delivery: &Delivery) {}
/// ```
#[diagnostic::on_unimplemented(
    message = "`{Self}` is no message of a job",
    note = "implement `vitalsign::jobs::Message` for it, or give its headers or a `SpanContext`; of a reference write `message = *message`"
)]
pub trait Message {
    /// The span in which it was sent.
    fn context(&self) -> Option<SpanContext>;

    /// Which attempt this is; the first is 1.
    fn attempt(&self) -> Option<u32> {
        None
    }

    /// When it was put into the queue, for the wait.
    fn enqueued(&self) -> Option<SystemTime> {
        None
    }

    /// `messaging.message.id`
    fn id(&self) -> Option<&str> {
        None
    }
}

#[diagnostic::do_not_recommend]
impl<T: AsParent> Message for T {
    fn context(&self) -> Option<SpanContext> {
        self.as_parent()
    }
}

/// What the messages among a job's arguments say together.
#[derive(Default, Debug)]
pub struct Delivery {
    pub(crate) context: Option<SpanContext>,
    pub(crate) attempt: Option<u32>,
    pub(crate) enqueued: Option<SystemTime>,
    pub(crate) id: Option<String>,
}

impl Delivery {
    /// Takes what was not said before.
    pub(crate) fn of<M: Message + ?Sized>(&mut self, message: &M) {
        self.context = self.context.take().or_else(|| message.context());
        self.attempt = self.attempt.or_else(|| message.attempt());
        self.enqueued = self.enqueued.or_else(|| message.enqueued());
        self.id = self.id.take().or_else(|| message.id().map(str::to_owned));
    }

    /// At least 1: there is no attempt before the first.
    pub(crate) fn attempt(&self) -> u32 {
        self.attempt.unwrap_or(1).max(1)
    }
}
