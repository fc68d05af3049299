//! The write of an update to a Service's status.

use std::time::Duration;

use ferrolb_crds::names::OPERATOR_MANAGER;
use k8s_openapi::api::core::v1::Service;
use kube::api::{Patch, PatchParams};
use kube::{Api, Client, Error};

use crate::engine::Update;
use crate::leader::Tenure;
use crate::leader::fence::{Fenced, fenced};

/// How long a write may take, retries included.
const WRITE_TIMEOUT: Duration = Duration::from_secs(15);
/// The longest name of a field manager.
const LONGEST_MANAGER: usize = 128;

/// An update that was tried.
#[derive(Debug)]
pub(super) struct Tried {
    pub(super) update: Update,
    pub(super) outcome: Outcome,
}

/// What became of an update.
#[derive(Debug)]
pub(super) enum Outcome {
    /// It was made, and this is the Service now.
    Applied(Box<Service>),
    /// The Service has changed before; this is what it is now.
    Conflict(Box<Service>),
    /// There is no such Service any more.
    Gone,
    /// The API server did not do it.
    Failed(WriteError),
}

/// Why a write was not made.
#[derive(Debug, thiserror::Error)]
pub(super) enum WriteError {
    /// The API server refused it, or was not reached.
    #[error(transparent)]
    Refused(#[from] Box<Error>),
    /// There was no answer in time, or it is not ours to write any more.
    #[error(transparent)]
    Fenced(#[from] Fenced),
}

/// Writes updates in the name of one field manager.
#[derive(Clone)]
pub(super) struct Writer {
    client: Client,
    tenure: Tenure,
    params: PatchParams,
}

impl Writer {
    /// A writer for the Services of a class, which the field manager's name tells.
    pub(super) fn new(client: Client, tenure: Tenure, class: Option<&str>) -> Self {
        let mut manager = OPERATOR_MANAGER.to_owned();
        if let Some(class) = class {
            manager.extend(['/'].into_iter().chain(class.chars()).take(LONGEST_MANAGER - manager.len()));
        }
        let params = PatchParams { field_manager: Some(manager), ..PatchParams::default() };
        Self { client, tenure, params }
    }

    /// Makes a write; when the Service has changed before, reads what it is now.
    pub(super) async fn write(self, update: Update) -> Tried {
        let outcome = fenced(&self.tenure, WRITE_TIMEOUT, self.attempt(&update))
            .await
            .unwrap_or_else(|fenced| Outcome::Failed(fenced.into()));
        Tried { update, outcome }
    }

    async fn attempt(&self, update: &Update) -> Outcome {
        let services: Api<Service> = Api::namespaced(self.client.clone(), &update.service.namespace);
        let name = &update.service.name;
        let patch = Patch::Merge(&update.patch.body);
        match services.patch_status(name, &self.params, &patch).await {
            Ok(service) => Outcome::Applied(Box::new(service)),
            Err(Error::Api(status)) if status.is_conflict() => match services.get(name).await {
                Ok(service) => Outcome::Conflict(Box::new(service)),
                Err(error) => Outcome::of(error),
            },
            Err(error) => Outcome::of(error),
        }
    }
}

impl Outcome {
    fn of(error: Error) -> Self {
        if matches!(&error, Error::Api(status) if status.is_not_found()) {
            Self::Gone
        } else {
            Self::Failed(WriteError::Refused(Box::new(error)))
        }
    }
}
