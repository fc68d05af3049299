//! A cluster for the engine: Services that its updates are applied to.

use std::collections::BTreeMap;
use std::sync::Arc;
use std::time::Instant;

use ferrolb_crds::names::ALLOCATED_CONDITION;
use ferrolb_crds::pool::IPAddressPool;
use jiff::Timestamp;
use k8s_openapi::api::core::v1::Service;
use serde_json::{Value, json};

use crate::engine::{Engine, Settings, Update};
use crate::key::ServiceKey;
use crate::request::Request;
use crate::verdict::Shown;

/// An engine with one pool, and the cluster that it writes to.
pub(super) struct Stage {
    pub(super) engine: Engine,
    pub(super) now: Instant,
    pub(super) cluster: BTreeMap<String, Service>,
    pools: Vec<Arc<IPAddressPool>>,
    version: u64,
}

impl Stage {
    #[expect(clippy::disallowed_methods, reason = "the first Instant has to come from somewhere")]
    pub(super) fn new(ranges: &str) -> Self {
        let now = Instant::now();
        let engine = Engine::new(Settings::default(), now);
        let mut stage = Self { engine, now, cluster: BTreeMap::new(), pools: Vec::new(), version: 0 };
        stage.set_pools(&[("p", ranges)]);
        stage.engine.start();
        stage
    }

    pub(super) fn set_pools(&mut self, pools: &[(&str, &str)]) {
        let spec = |range: &str| format!("{{addresses: ['{range}']}}");
        self.pools = pools.iter().map(|(name, range)| pool(name, &spec(range))).collect();
        self.engine.set_objects(&self.pools, &[], self.now);
    }

    /// Creates a Service or replaces its annotations, and tells the engine.
    pub(super) fn service(&mut self, name: &str, annotations: &str) {
        let service = self.made(name, annotations);
        let service = self.store(service);
        self.engine.apply_service(&service, self.now);
    }

    /// A Service with these annotations, and with the status that the one of its name has.
    pub(super) fn made(&self, name: &str, annotations: &str) -> Service {
        let mut service: Service = serde_saphyr::from_str(&format!(
            "{{metadata: {{name: {name}, namespace: default, annotations: {{{annotations}}}}}, \
             spec: {{type: LoadBalancer, clusterIPs: [10.96.0.1], ports: [{{port: 80}}]}}}}"
        ))
        .unwrap();
        let old = self.cluster.get(name);
        service.status = old.and_then(|old| old.status.clone());
        let uid = old.and_then(|old| old.metadata.uid.clone());
        service.metadata.uid = Some(uid.unwrap_or_else(|| format!("uid-{}", self.version)));
        service
    }

    /// A Service becomes one that is reached within the cluster only. The API server takes its ingress points away.
    pub(super) fn leave_type(&mut self, mut service: Service) {
        service.spec.get_or_insert_default().type_ = Some("ClusterIP".to_owned());
        service.status.get_or_insert_default().load_balancer = None;
        let service = self.store(service);
        self.engine.apply_service(&service, self.now);
    }

    /// A Service becomes one of another class, and keeps what its status shows.
    pub(super) fn leave_class(&mut self, mut service: Service) {
        service.spec.get_or_insert_default().load_balancer_class = Some("example.org/lb".to_owned());
        let service = self.store(service);
        self.engine.apply_service(&service, self.now);
    }

    /// Another controller writes an address to a Service's status.
    pub(super) fn overwrite(&mut self, name: &str, address: &str) {
        let mut service = self.cluster[name].clone();
        let ingress = serde_json::from_value(json!([{ "ip": address }])).unwrap();
        service.status.get_or_insert_default().load_balancer.get_or_insert_default().ingress = Some(ingress);
        service.metadata.managed_fields = serde_json::from_value(json!([
            { "manager": "kubectl", "time": "2026-01-02T00:00:00Z", "fieldsV1": { "f:spec": {} } },
            {
                "manager": "servicelb", "subresource": "status", "time": "2026-01-01T00:00:00Z",
                "fieldsV1": { "f:status": { "f:loadBalancer": { "f:ingress": {} } } },
            },
        ]))
        .unwrap();
        let service = self.store(service);
        self.engine.apply_service(&service, self.now);
    }

    /// What a Service's first condition says to people.
    pub(super) fn message(&self, name: &str) -> String {
        Shown::of(&self.cluster[name]).conditions.first().map(|it| it.message.clone()).unwrap_or_default()
    }

    pub(super) fn store(&mut self, mut service: Service) -> Service {
        self.version += 1;
        service.metadata.resource_version = Some(self.version.to_string());
        self.cluster.insert(service.metadata.name.clone().unwrap(), service.clone());
        service
    }

    pub(super) fn delete(&mut self, name: &str) {
        self.cluster.remove(name);
        self.engine.delete_service(&ServiceKey::new("default", name), None, self.now);
    }

    pub(super) fn next(&mut self) -> Option<Update> {
        self.engine.next_update(self.now, Timestamp::UNIX_EPOCH)
    }

    /// What becomes of a Service by a write.
    pub(super) fn patched(&mut self, update: &Update) -> Service {
        let service = &self.cluster[&*update.service.name];
        assert_eq!(
            update.patch.body["metadata"]["resourceVersion"].as_str(),
            service.metadata.resource_version.as_deref()
        );
        let mut value = serde_json::to_value(service).unwrap();
        merge(&mut value, &update.patch.body);
        self.store(serde_json::from_value(value).unwrap())
    }

    /// Makes a write, and returns the addresses that the Service has then.
    pub(super) fn write(&mut self, update: &Update) -> String {
        let service = self.patched(update);
        self.engine.applied(update, &service, self.now);
        Request::parse(&service).held.iter().map(ToString::to_string).collect::<Vec<_>>().join(" ")
    }

    /// Makes all writes.
    pub(super) fn settle(&mut self) {
        while let Some(update) = self.next() {
            self.write(&update);
        }
    }

    /// Makes all writes, and waits for everything that is due some time.
    pub(super) fn rest(&mut self) {
        self.settle();
        while let Some(due) = self.engine.poll_timeout() {
            self.now = self.now.max(due);
            self.engine.handle_timeout(self.now);
            self.settle();
        }
    }

    /// Another process begins with what the cluster shows.
    pub(super) fn restart(&mut self) {
        self.engine = Engine::new(Settings::default(), self.now);
        self.engine.set_objects(&self.pools, &[], self.now);
        for service in self.cluster.values() {
            self.engine.apply_service(service, self.now);
        }
        self.engine.start();
    }

    /// Addresses that two Services have, which can't share one here: all open the same port.
    pub(super) fn duplicates(&self) -> Vec<String> {
        let mut seen = BTreeMap::new();
        let mut twice = Vec::new();
        for (name, service) in &self.cluster {
            for address in Request::parse(service).held {
                if let Some(other) = seen.insert(address, name.clone()) {
                    twice.push(format!("{other} and {name} have {address}"));
                }
            }
        }
        twice
    }

    /// Addresses, reason and pools of a Service.
    pub(super) fn status(&self, name: &str) -> String {
        let service = &self.cluster[name];
        let shown = Shown::of(service);
        let addresses = Request::parse(service).held.into_iter().map(|address| address.to_string());
        let allocated = shown.conditions.into_iter().filter(|it| it.type_ == ALLOCATED_CONDITION);
        let reasons = allocated.map(|condition| condition.reason);
        addresses.chain(reasons).chain(shown.allocated_from).collect::<Vec<_>>().join(" ")
    }
}

pub(super) fn pool(name: &str, spec: &str) -> Arc<IPAddressPool> {
    Arc::new(IPAddressPool::new(name, serde_saphyr::from_str(spec).unwrap()))
}

/// JSON merge patch, RFC 7386.
fn merge(target: &mut Value, patch: &Value) {
    let Value::Object(patch) = patch else {
        *target = patch.clone();
        return;
    };
    if !target.is_object() {
        *target = json!({});
    }
    let Some(target) = target.as_object_mut() else { return };
    for (key, value) in patch {
        if value.is_null() {
            target.remove(key);
        } else {
            merge(target.entry(key.clone()).or_insert(Value::Null), value);
        }
    }
}
