//! Customers are told of their order by a worker, after the answer has gone out.

use std::fmt;
use std::time::Duration;
use tokio::sync::mpsc;
use vitalsign::trace::SpanContext;
use vitalsign::{counted, observed};

/// One customer to be told. It carries the trace of the order over to the worker's task.
#[derive(Debug)]
pub(crate) struct Confirmation {
    order_id: i64,
    email: String,
    placed_in: Option<SpanContext>,
}

#[derive(Clone)]
pub(crate) struct Queue {
    sender: mpsc::Sender<Confirmation>,
}

impl Queue {
    /// Confirmations put into the queue; a full queue drops them.
    #[counted(name = "confirmations.queued", ok_if = |queued| *queued)]
    pub(crate) fn confirm(&self, order_id: i64, email: String) -> bool {
        let placed_in = vitalsign::current().context();
        self.sender
            .try_send(Confirmation {
                order_id,
                email,
                placed_in,
            })
            .is_ok()
    }
}

/// Starts the worker, which ends with the last sender.
pub(crate) fn start() -> Queue {
    let (sender, mut waiting) = mpsc::channel(100);
    tokio::spawn(async move {
        while let Some(confirmation) = waiting.recv().await {
            // The error is in the span and in the log already.
            let _ = send_confirmation(confirmation).await;
        }
    });
    Queue { sender }
}

/// A span in the order's trace, `send_confirmation.calls` and `send_confirmation.duration`.
#[observed(name = "send_confirmation", traced(kind = consumer, parent = confirmation.placed_in, fields(order.id = confirmation.order_id)))]
async fn send_confirmation(confirmation: Confirmation) -> Result<(), NoSuchMailbox> {
    tokio::time::sleep(Duration::from_millis(4)).await;
    if confirmation.email.contains('@') {
        Ok(())
    } else {
        Err(NoSuchMailbox {
            order_id: confirmation.order_id,
        })
    }
}

#[derive(Debug)]
pub(crate) struct NoSuchMailbox {
    order_id: i64,
}

impl fmt::Display for NoSuchMailbox {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "order {}: no such mailbox", self.order_id)
    }
}

impl std::error::Error for NoSuchMailbox {}
