//! Objects that are put into etcd behind the API server's back.
//!
//! The API server takes ever longer for each Service that it creates; ten thousand cost minutes. Whoever measures what
//! comes after puts them where it would have. What it would have filled in has to be there.

mod services;

use std::fs;

use anyhow::{Context, Result, ensure};
use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use serde_json::{Value, json};

use crate::lab::Lab;
use crate::plan::CONTROL_PLANE;

/// Objects of one transaction; etcd takes 128 operations.
const BATCH: usize = 128;
/// Where etcd takes requests as JSON.
const TRANSACTIONS: &str = "http://127.0.0.1:2379/v3/kv/txn";

/// An object, and the key by which the API server finds it in etcd.
#[derive(Clone, Debug)]
pub struct Planted {
    key: String,
    object: Value,
}

impl Planted {
    /// An object of namespace `default`; `path` is what stands between `/registry/` and the namespace.
    pub fn new(path: &str, name: &str, mut object: Value) -> Self {
        let metadata = json!({
            "name": name, "namespace": "default", "creationTimestamp": "2026-01-01T00:00:00Z",
            // As unique as the key that it comes of.
            "uid": format!("{path}/{name}"),
        });
        if let Some(fields) = metadata.as_object() {
            for (field, value) in fields {
                object["metadata"][field] = value.clone();
            }
        }
        Self { key: format!("/registry/{path}/default/{name}"), object }
    }

    /// The same with a label.
    pub fn label(mut self, key: &str, value: &str) -> Self {
        self.object["metadata"]["labels"][key] = value.into();
        self
    }
}

impl Lab {
    /// Puts objects into etcd, thousands in seconds. Nobody may watch their kind meanwhile: many of them come at one
    /// resourceVersion, and a watch that begins there misses some.
    ///
    /// # Errors
    /// When etcd refuses them.
    pub fn plant(&self, objects: &[Planted]) -> Result<()> {
        let host = self.host(CONTROL_PLANE)?;
        let file = host.outside("/var/lib/planted.json");
        for batch in objects.chunks(BATCH) {
            let puts: Vec<Value> = batch
                .iter()
                .map(|Planted { key, object }| {
                    let value = STANDARD.encode(object.to_string());
                    json!({ "requestPut": { "key": STANDARD.encode(key), "value": value } })
                })
                .collect();
            fs::write(&file, json!({ "success": puts }).to_string())
                .with_context(|| format!("write {}", file.display()))?;
            let answer = host.exec_ok([
                "curl",
                "--silent",
                "--show-error",
                "--fail",
                "--data",
                "@/var/lib/planted.json",
                TRANSACTIONS,
            ])?;
            ensure!(answer.contains("\"succeeded\":true"), "etcd: {answer}");
        }
        Ok(fs::remove_file(&file)?)
    }
}
