//! A real Kubernetes cluster on one machine, for tests, benchmarks and the demo.
//!
//! Nothing is simulated: etcd, API server, controller manager and scheduler run on a *control plane* host, and
//! each *full* node runs containerd, kubelet and kube-proxy. A host is a network namespace with mounts and
//! processes of its own, plugged into one bridge: the segment `192.168.1.0/24` and `fd00:192:168:1::/64`. *Bare* nodes
//! are a Node object and a network, so that a lab can have hundreds. The *client* is on the segment and
//! knows nothing of the cluster.
//!
//! Everything that a lab makes is inside namespaces or on record under `/run/ferrolb-lab`; dropping the
//! [`Lab`] removes it, and what a killed process left is removed by the next start. Labs do not see each other.
//!
//! The crate is synchronous: tests that need a runtime build it inside [`Host::run`].

mod builder;
mod cache;
mod cgroup;
mod clock;
mod control_plane;
mod credentials;
pub mod failover;
mod ferrolb;
mod host;
pub mod image;
mod lab;
mod namespace;
mod node;
mod packages;
mod parallel;
mod parts;
mod plan;
mod plant;
pub mod probe;
mod process_id;
mod programs;
mod progress;
pub mod scale;
mod segment;
mod service;
mod shared;
mod store;
mod traffic;

pub use builder::LabBuilder;
pub use cache::cache_dir;
pub use clock::eventually;
pub use control_plane::ApiServer;
pub use ferrolb::Ferrolb;
pub use host::Host;
pub use lab::{Lab, end_on_signal, remove, remove_abandoned};
pub use plan::{
    CLIENT, CONTROL_PLANE, GATEWAYS, HostPlan, POD_RANGES, Plan, Role, SERVICE_RANGES, V6_PREFIX,
};
pub use plant::Planted;
pub use process_id::ProcessId;
pub use programs::{DEFAULT_KUBERNETES, KUBERNETES_VERSIONS, kubernetes_version};
pub use progress::{Progress, Silent};
pub use service::{Process, Program};
pub use store::{HostState, Service, State};
pub use traffic::{NeighborFrames, Traffic};
