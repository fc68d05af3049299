//! What is written to a Service: a decision, compared with what the Service says already.

#[cfg(test)]
mod tests;

use std::net::IpAddr;

use ferrolb_crds::condition::{self, Statement};
use ferrolb_crds::names::{
    ALLOCATED_CONDITION, ALLOCATED_FROM_ANNOTATION, ANNOUNCED_CONDITION, OPERATOR_MANAGER,
};
use jiff::Timestamp;
use k8s_openapi::api::core::v1::Service;
use k8s_openapi::apimachinery::pkg::apis::meta::v1::{Condition, ManagedFieldsEntry};
use serde_json::{Map, Value, json};

use crate::ledger::{Assignment, Cause, Decision};
use crate::notice::Notice;
use crate::refusal::Refusal;
use crate::request::{Request, addresses_of};

/// Reason of the condition Allocated when it is True.
const ALLOCATED: &str = "Allocated";

/// Longest message of a condition, in bytes: names in annotations may be of any length.
const LONGEST_MESSAGE: usize = 1024;

/// What a Service shows of us, as last seen.
#[derive(Clone, Debug, PartialEq)]
pub struct Shown {
    /// The version that it was seen in.
    pub resource_version: String,
    /// All conditions, those of others too.
    pub conditions: Vec<Condition>,
    /// Our annotation of the pools.
    pub allocated_from: Option<String>,
    /// Its ingress points.
    pub ingress: Ingress,
    /// Their addresses, each once.
    pub addresses: Vec<IpAddr>,
    /// Who wrote them last, if it was somebody else.
    pub rival: Option<String>,
}

/// What a Service's ingress points are.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Ingress {
    /// There are none.
    Empty,
    /// Addresses as we write them.
    Plain,
    /// Others: host names, addresses of another mode, or one address twice.
    Foreign,
}

/// A single write to a Service's status, annotation included: a merge patch that holds for one version of it.
#[derive(Clone, Debug, PartialEq)]
pub struct Patch {
    /// The body of the patch.
    pub body: Value,
    /// The addresses that it writes, if it writes any.
    pub addresses: Option<Vec<IpAddr>>,
    /// What to tell when it has been applied.
    pub notices: Vec<Notice>,
}

impl Shown {
    /// What a Service shows.
    pub fn of(service: &Service) -> Self {
        let metadata = &service.metadata;
        let status = service.status.as_ref();
        let annotations = metadata.annotations.as_ref();
        Self {
            resource_version: metadata.resource_version.clone().unwrap_or_default(),
            conditions: status.and_then(|status| status.conditions.clone()).unwrap_or_default(),
            allocated_from: annotations.and_then(|map| map.get(ALLOCATED_FROM_ANNOTATION)).cloned(),
            ingress: Ingress::of(service),
            addresses: addresses_of(service),
            rival: metadata.managed_fields.as_deref().and_then(rival),
        }
    }

    /// Whether the operator has written to the Service.
    pub fn is_marked(&self) -> bool {
        self.allocated_from.is_some() || condition::find(&self.conditions, ALLOCATED_CONDITION).is_some()
    }

    /// Whether it says that the operator has given it an address.
    pub fn is_given(&self) -> bool {
        self.allocated_from.is_some() || condition::is_true(&self.conditions, ALLOCATED_CONDITION)
    }
}

impl Ingress {
    fn of(service: &Service) -> Self {
        let status = service.status.as_ref().and_then(|status| status.load_balancer.as_ref());
        let points = status.and_then(|status| status.ingress.as_deref()).unwrap_or_default();
        let plain = |point: &k8s_openapi::api::core::v1::LoadBalancerIngress| {
            point.hostname.is_none() && point.ip_mode.as_deref().is_none_or(|mode| mode == "VIP")
        };
        if points.is_empty() {
            Self::Empty
        } else if points.iter().all(plain) && addresses_of(service).len() == points.len() {
            Self::Plain
        } else {
            Self::Foreign
        }
    }
}

/// What to write so that a Service that is ours shows the decision, and whether it is announced; `None` if it does.
///
/// Addresses that are right are left as they are, in their order. Ingress points of others, which come without our
/// annotation and are in no pool of ours, are left alone unless there is an address to put in their place.
pub fn state(
    shown: &Shown,
    request: &Request,
    decision: &Decision,
    announced: Option<Statement>,
    now: Timestamp,
) -> Option<Patch> {
    let Decision { assignment, refusal, given_up, .. } = decision;
    let mut draft = Draft::default();

    let same = shown.ingress != Ingress::Foreign
        && assignment.iter().count() == request.held.len()
        && request.held.iter().all(|address| assignment.has(*address));
    let ours = shown.allocated_from.is_some()
        || given_up.iter().any(|given_up| given_up.cause != Cause::OutsidePools);
    if !same && (!assignment.is_empty() || ours) {
        draft.ingress(assignment);
    }

    let from = pools_of(assignment);
    if shown.allocated_from != from {
        draft.annotate(from.as_deref());
    }

    let statement = Statement {
        type_: ALLOCATED_CONDITION,
        status: refusal.is_none(),
        reason: refusal.as_ref().map_or(ALLOCATED, |refusal| refusal.reason().as_str()),
        message: shortened(message(decision)),
    };
    let before = condition::find(&shown.conditions, ALLOCATED_CONDITION);
    let news = before.is_none_or(|before| before.reason != statement.reason);
    let mut notices: Vec<_> =
        if draft.has_ingress() { given_up.iter().map(Notice::released).collect() } else { Vec::new() };
    if let Some(refusal) = refusal.as_ref().filter(|_| news) {
        notices.push(Notice::refused(refusal.reason(), &statement.message));
    }
    if assignment.iter().any(|place| !request.held.contains(&place.address)) {
        notices.push(Notice::allocated(&places(assignment)));
    }

    let mut conditions = shown.conditions.clone();
    let allocated = condition::set(&mut conditions, statement, None, now);
    let announced = match announced {
        Some(statement) => condition::set(&mut conditions, statement, None, now),
        None => condition::remove(&mut conditions, ANNOUNCED_CONDITION),
    };
    if allocated || announced {
        draft.conditions(&conditions);
    }
    draft.finish(shown, notices)
}

/// What to write to a Service while somebody keeps overwriting its addresses; `None` if it shows that already.
pub fn protest(shown: &Shown, decision: &Decision, now: Timestamp) -> Option<Patch> {
    let manager = shown.rival.clone().unwrap_or_else(|| "another controller".to_owned());
    let refusal = Refusal::ForeignController(manager);
    let mut message = refusal.to_string();
    if !decision.assignment.is_empty() {
        message = format!("{message}; until then {} is kept for it", places(&decision.assignment));
    }
    let message = shortened(message);
    let notice = Notice::refused(refusal.reason(), &message);
    let reason = refusal.reason().as_str();
    let statement = Statement { type_: ALLOCATED_CONDITION, status: false, reason, message };
    let news =
        condition::find(&shown.conditions, ALLOCATED_CONDITION).is_none_or(|before| before.reason != reason);
    let mut conditions = shown.conditions.clone();
    let mut draft = Draft::default();
    if condition::set(&mut conditions, statement, None, now) {
        draft.conditions(&conditions);
    }
    draft.finish(shown, news.then_some(notice).into_iter().collect())
}

/// What to write to a Service that is not ours any more; `None` if it shows nothing of us. With `addresses` its
/// ingress points are cleared too: they are ours, and not those of somebody who serves it since.
pub fn clear(shown: &Shown, addresses: bool) -> Option<Patch> {
    let mut draft = Draft::default();
    if !shown.is_marked() {
        return None;
    }
    let had_address = shown.is_given() || (addresses && shown.ingress != Ingress::Empty);
    if shown.allocated_from.is_some() {
        draft.annotate(None);
    }
    if addresses && shown.ingress != Ingress::Empty {
        draft.ingress(&Assignment::default());
    }
    let mut conditions = shown.conditions.clone();
    let removed = [ALLOCATED_CONDITION, ANNOUNCED_CONDITION].map(|it| condition::remove(&mut conditions, it));
    if removed.contains(&true) {
        draft.conditions(&conditions);
    }
    draft.finish(shown, had_address.then(Notice::left).into_iter().collect())
}

#[derive(Default)]
struct Draft {
    addresses: Option<Vec<IpAddr>>,
    metadata: Map<String, Value>,
    status: Map<String, Value>,
}

impl Draft {
    fn ingress(&mut self, assignment: &Assignment) {
        self.addresses = Some(assignment.iter().map(|place| place.address).collect());
        let points: Vec<_> =
            assignment.iter().map(|place| json!({"ip": place.address, "ipMode": "VIP"})).collect();
        let ingress = if points.is_empty() { Value::Null } else { Value::Array(points) };
        self.status.insert("loadBalancer".to_owned(), json!({ "ingress": ingress }));
    }

    fn has_ingress(&self) -> bool {
        self.addresses.is_some()
    }

    fn annotate(&mut self, pools: Option<&str>) {
        self.metadata.insert("annotations".to_owned(), json!({ ALLOCATED_FROM_ANNOTATION: pools }));
    }

    fn conditions(&mut self, conditions: &[Condition]) {
        let value = if conditions.is_empty() { Value::Null } else { json!(conditions) };
        self.status.insert("conditions".to_owned(), value);
    }

    fn finish(mut self, shown: &Shown, notices: Vec<Notice>) -> Option<Patch> {
        if self.metadata.is_empty() && self.status.is_empty() {
            return None;
        }
        self.metadata.insert("resourceVersion".to_owned(), json!(shown.resource_version));
        let body = json!({ "metadata": self.metadata, "status": self.status });
        Some(Patch { body, addresses: self.addresses, notices })
    }
}

/// Who wrote the ingress points last, if it was somebody else.
fn rival(entries: &[ManagedFieldsEntry]) -> Option<String> {
    let writes_ingress = |entry: &&ManagedFieldsEntry| {
        let fields = entry.fields_v1.as_ref().and_then(|fields| fields.0.get("f:status"));
        fields.is_some_and(|status| status.get("f:loadBalancer").is_some())
    };
    let last =
        entries.iter().filter(writes_ingress).max_by_key(|entry| entry.time.as_ref().map(|time| time.0))?;
    last.manager.clone().filter(|manager| !manager.starts_with(OPERATOR_MANAGER))
}

/// The pools of an assignment in status order, one name if all are the same.
fn pools_of(assignment: &Assignment) -> Option<String> {
    let mut pools: Vec<&str> = assignment.iter().map(|place| &*place.pool).collect();
    pools.dedup();
    (!pools.is_empty()).then(|| pools.join(","))
}

fn message(decision: &Decision) -> String {
    let Decision { assignment, refusal, wants_more, .. } = decision;
    let has = places(assignment);
    match refusal {
        None if *wants_more => {
            format!("{has}; the other family follows as soon as a pool has a free address")
        }
        None => has,
        Some(refusal) if assignment.is_empty() => refusal.to_string(),
        Some(refusal) => format!("{refusal}; until then the Service keeps {has}"),
    }
}

fn places(assignment: &Assignment) -> String {
    let texts = assignment.iter().map(|place| format!("{} from pool {}", place.address, place.pool));
    texts.collect::<Vec<_>>().join(", ")
}

fn shortened(mut message: String) -> String {
    if message.len() > LONGEST_MESSAGE {
        let fits = |end: &usize| message.is_char_boundary(*end);
        message.truncate((0..=LONGEST_MESSAGE - '…'.len_utf8()).rev().find(fits).unwrap_or(0));
        message.push('…');
    }
    message
}
