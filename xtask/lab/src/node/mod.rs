//! Nodes: what runs on a host that Kubernetes knows.

pub(crate) mod bare;
pub(crate) mod full;
mod full_config;
