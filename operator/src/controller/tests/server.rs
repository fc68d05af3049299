//! An API server that answers as it is told, and holds every watch open without an event.

use std::collections::VecDeque;
use std::sync::{Arc, Mutex};

use http::{Method, Request, Response, StatusCode};
use kube::Client;
use kube::client::Body;
use serde_json::{Value, json};
use tokio::sync::mpsc;
use tower_test::mock;

const NO_PANIC: &str = "nothing panics while it holds the script";

/// What the server answers to the writes to Services' status, one after the other.
#[derive(Clone, Debug)]
pub(in crate::controller) enum Answer {
    /// The write is made.
    Ok,
    /// The write is refused with a status code.
    Refuse(StatusCode),
    /// There is no answer.
    Silence,
}

/// A request that the server saw.
#[derive(Debug)]
pub(in crate::controller) struct Seen {
    pub(in crate::controller) method: Method,
    pub(in crate::controller) path: String,
    pub(in crate::controller) body: Value,
}

/// The objects and the answers of a server.
#[derive(Clone, Debug, Default)]
pub(in crate::controller) struct Script {
    /// The list of Services.
    pub(in crate::controller) services: Vec<Value>,
    /// What each watch of Services tells before it ends; later ones are held open.
    pub(in crate::controller) watches: VecDeque<Vec<Value>>,
    /// How many writes were made.
    pub(in crate::controller) writes: u64,
    /// The Services that later lists show, if they differ.
    pub(in crate::controller) services_later: Option<Vec<Value>>,
    /// What each later read of a Service shows, in turn.
    pub(in crate::controller) reads: VecDeque<Value>,
    /// What each write to a Service is answered; [`Answer::Ok`] when they are used up.
    pub(in crate::controller) answers: VecDeque<Answer>,
}

/// Starts a server. Everything that changes something, and every read of one Service, is told on the receiver.
pub(in crate::controller) fn start(script: Script) -> (Client, mpsc::UnboundedReceiver<Seen>) {
    let (service, mut handle) = mock::pair::<Request<Body>, Response<Body>>();
    let (sender, seen) = mpsc::unbounded_channel();
    let script = Arc::new(Mutex::new(script));
    tokio::spawn(async move {
        let mut unanswered = Vec::new();
        while let Some((request, send)) = handle.next_request().await {
            let (parts, body) = request.into_parts();
            let bytes = body.collect_bytes().await.expect("a body in memory");
            let body = serde_json::from_slice(&bytes).unwrap_or(Value::Null);
            let (path, query) = (parts.uri.path().to_owned(), parts.uri.query().unwrap_or_default());
            if query.contains("watch=true") {
                let of_services = path.ends_with("/services");
                let told =
                    if of_services { script.lock().expect(NO_PANIC).watches.pop_front() } else { None };
                match told {
                    Some(events) => {
                        let lines: Vec<_> = events.iter().map(ToString::to_string).collect();
                        let body = Body::from((lines.join("\n") + "\n").into_bytes());
                        send.send_response(Response::new(body));
                    }
                    None => unanswered.push(send),
                }
                continue;
            }
            let seen = Seen { method: parts.method, path, body };
            let answer = script.lock().expect(NO_PANIC).answer(&seen);
            if seen.method != Method::GET || seen.path.ends_with("/web") {
                _ = sender.send(seen);
            }
            match answer {
                Some((status, body)) => {
                    let body = Body::from(body.to_string().into_bytes());
                    send.send_response(Response::builder().status(status).body(body).expect("a response"));
                }
                None => unanswered.push(send),
            }
        }
    });
    (Client::new(service, "default"), seen)
}

impl Script {
    fn answer(&mut self, seen: &Seen) -> Option<(StatusCode, Value)> {
        let ok = |body| Some((StatusCode::OK, body));
        match (&seen.method, seen.path.rsplit('/').next().unwrap_or_default()) {
            (&Method::GET, "web") => ok(self.reads.pop_front().expect("a read that the script has")),
            (&Method::GET, "services") => {
                let shown = list("v1", "ServiceList", &self.services);
                if let Some(later) = self.services_later.take() {
                    self.services = later;
                }
                ok(shown)
            }
            (&Method::GET, "ipaddresspools") => {
                ok(list("ferrolb.io/v1beta1", "IPAddressPoolList", &[pool()]))
            }
            (&Method::GET, _) => ok(list("v1", "List", &[])),
            (&Method::PATCH, "status") if seen.path.contains("/services/") => {
                match self.answers.pop_front().unwrap_or(Answer::Ok) {
                    Answer::Ok => ok(self.written(&seen.path, &seen.body)),
                    Answer::Refuse(code) => Some((code, failure(code))),
                    Answer::Silence => None,
                }
            }
            _ => ok(seen.body.clone()),
        }
    }
}

impl Script {
    /// What becomes of the Service by a write.
    fn written(&mut self, path: &str, patch: &Value) -> Value {
        let name = path.rsplit('/').nth(1).unwrap_or_default();
        self.writes += 1;
        let mut unlisted = service(name, 0, json!({}));
        let listed = self.services.iter_mut().find(|service| service["metadata"]["name"] == name);
        let web = listed.unwrap_or(&mut unlisted);
        web["metadata"]["resourceVersion"] = json!((100 + self.writes).to_string());
        for (part, fields) in
            [("/metadata/annotations", &patch["metadata"]["annotations"]), ("/status", &patch["status"])]
        {
            if part == "/status" && web["status"].is_null() {
                web["status"] = json!({});
            }
            let Some(known) = web.pointer_mut(part) else { continue };
            for (name, value) in fields.as_object().into_iter().flatten() {
                known[name] = value.clone();
            }
        }
        web.clone()
    }
}

/// A Service of type LoadBalancer, in some version.
pub(in crate::controller) fn service(name: &str, version: u64, annotations: Value) -> Value {
    json!({
        "apiVersion": "v1", "kind": "Service",
        "metadata": {
            "name": name, "namespace": "default", "uid": name, "resourceVersion": version.to_string(),
            "annotations": annotations,
        },
        "spec": { "type": "LoadBalancer", "clusterIPs": ["10.96.0.1"] },
    })
}

fn pool() -> Value {
    json!({
        "apiVersion": "ferrolb.io/v1beta1", "kind": "IPAddressPool",
        "metadata": { "name": "p", "namespace": "ferrolb-system", "uid": "p", "resourceVersion": "1" },
        "spec": { "addresses": ["10.0.0.1-10.0.0.9"] },
    })
}

fn list(version: &str, kind: &str, items: &[Value]) -> Value {
    json!({ "apiVersion": version, "kind": kind, "metadata": { "resourceVersion": "1" }, "items": items })
}

fn failure(code: StatusCode) -> Value {
    let reason = if code == StatusCode::CONFLICT { "Conflict" } else { "InternalError" };
    json!({
        "apiVersion": "v1", "kind": "Status", "status": "Failure",
        "reason": reason, "message": "as told", "code": code.as_u16(),
    })
}
