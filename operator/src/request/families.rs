//! The address families that a Service wants, which follow its ClusterIPs.

use std::net::IpAddr;

use ferrolb_crds::range::Family;
use k8s_openapi::api::core::v1::Service;

use crate::refusal::Refusal;

/// The families that a Service wants an address of.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Families {
    /// One family.
    One(Family),
    /// Both, or one of them while the other has nothing free (PreferDualStack).
    PreferBoth,
    /// Both or nothing (RequireDualStack).
    RequireBoth,
}

impl Families {
    /// Both families, in status order.
    pub const ALL: [Family; 2] = [Family::V4, Family::V6];

    /// The families of a Service.
    ///
    /// # Errors
    /// When the Service has no ClusterIP.
    pub fn of(service: &Service) -> Result<Self, Refusal> {
        let spec = service.spec.as_ref().ok_or(Refusal::NoClusterIp)?;
        let has = |family| {
            let listed = spec.cluster_ips.iter().flatten();
            let mut all = listed.chain(&spec.cluster_ip).filter_map(|text| text.parse::<IpAddr>().ok());
            all.any(|address| Family::of(address) == family)
        };
        match (has(Family::V4), has(Family::V6)) {
            (true, true) if spec.ip_family_policy.as_deref() == Some("RequireDualStack") => {
                Ok(Self::RequireBoth)
            }
            (true, true) => Ok(Self::PreferBoth),
            (true, false) => Ok(Self::One(Family::V4)),
            (false, true) => Ok(Self::One(Family::V6)),
            (false, false) => Err(Refusal::NoClusterIp),
        }
    }

    /// Whether an address of the family is wanted.
    pub fn include(self, family: Family) -> bool {
        match self {
            Self::One(only) => only == family,
            Self::PreferBoth | Self::RequireBoth => true,
        }
    }
}
