//! An API server that answers as a test tells it.

use http::{Method, Request, Response, StatusCode};
use kube::Client;
use kube::client::Body;
use serde_json::{Value, json};
use tokio::sync::mpsc;
use tower_test::mock;

/// A request that the server saw.
#[derive(Clone, Debug)]
pub(crate) struct Seen {
    pub(crate) method: Method,
    pub(crate) path: String,
    pub(crate) query: String,
    pub(crate) body: Value,
}

/// What the server answers.
#[derive(Clone, Debug)]
pub(crate) enum Answer {
    /// The object that was sent, or this one.
    Ok(Option<Value>),
    /// A failure.
    Refuse(StatusCode),
    /// Nothing, for good.
    Silence,
}

/// The requests to a server.
pub(crate) type Requests = mpsc::UnboundedReceiver<Seen>;

/// Starts a server, which tells what it sees and answers what `answer` says.
pub(crate) fn server(mut answer: impl FnMut(&Seen) -> Answer + Send + 'static) -> (Client, Requests) {
    let (service, mut handle) = mock::pair::<Request<Body>, Response<Body>>();
    let (sender, requests) = mpsc::unbounded_channel();
    tokio::spawn(async move {
        let mut unanswered = Vec::new();
        while let Some((request, send)) = handle.next_request().await {
            let (parts, body) = request.into_parts();
            let bytes = body.collect_bytes().await.expect("a body in memory");
            let seen = Seen {
                method: parts.method,
                path: parts.uri.path().to_owned(),
                query: parts.uri.query().unwrap_or_default().to_owned(),
                body: serde_json::from_slice(&bytes).unwrap_or(Value::Null),
            };
            let (code, body) = match answer(&seen) {
                Answer::Ok(body) => (StatusCode::OK, body.unwrap_or_else(|| seen.body.clone())),
                Answer::Refuse(code) => (code, failure(code)),
                Answer::Silence => {
                    unanswered.push(send);
                    _ = sender.send(seen);
                    continue;
                }
            };
            _ = sender.send(seen);
            let body = Body::from(body.to_string().into_bytes());
            send.send_response(Response::builder().status(code).body(body).expect("a response"));
        }
    });
    (Client::new(service, "default"), requests)
}

fn failure(code: StatusCode) -> Value {
    json!({
        "apiVersion": "v1", "kind": "Status", "status": "Failure", "message": "as told", "code": code.as_u16(),
        "reason": code.canonical_reason().unwrap_or_default().replace(' ', ""),
    })
}
