//! What both FerroLB binaries need to run, and nothing about load balancing: logs, the Kubernetes client, watches
//! that survive bad objects, Events at a bounded rate, health and metrics endpoints, and the supervision of long-lived
//! tasks.

pub mod admin;
pub mod client;
pub mod events;
pub mod guard;
pub mod listing;
pub mod logs;
pub mod readiness;
pub mod tasks;
pub mod watch;
