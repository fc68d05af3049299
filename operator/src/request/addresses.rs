//! The addresses that a Service names.

use std::net::IpAddr;

use ferrolb_crds::names::LOAD_BALANCER_IPS;
use ferrolb_crds::range::Family;
use k8s_openapi::api::core::v1::Service;

use super::Families;
use crate::refusal::Refusal;

/// At most one address of each family.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Addresses {
    v4: Option<IpAddr>,
    v6: Option<IpAddr>,
}

impl Addresses {
    /// The addresses that a Service names, in its annotation or in `spec.loadBalancerIP`, one for each of its
    /// families; `None` if it names none.
    ///
    /// # Errors
    /// When they can't be read, or don't fit the Service's families.
    pub fn asked_for(service: &Service, families: Families) -> Result<Option<Self>, Refusal> {
        let annotation = LOAD_BALANCER_IPS.get(service.metadata.annotations.as_ref());
        let field = service.spec.as_ref().and_then(|spec| spec.load_balancer_ip.as_deref());
        let text = match (present(annotation), present(field)) {
            (Some(_), Some(_)) => return Err(Refusal::AskedTwice),
            (Some(text), None) | (None, Some(text)) => text,
            (None, None) => return Ok(None),
        };
        let parse = |part: &str| part.parse().map_err(|_| Refusal::NotAnAddress(part.to_owned()));
        let named = text.split(',').map(str::trim).map(parse).collect::<Result<Vec<_>, _>>()?;
        let addresses = Self::of(&named)?;
        addresses.fit(families)?;
        Ok(Some(addresses))
    }

    /// The addresses of a list, one of each family at most.
    ///
    /// # Errors
    /// When there are two of one family.
    pub fn of(list: &[IpAddr]) -> Result<Self, Refusal> {
        let mut addresses = Self { v4: None, v6: None };
        for address in list {
            let family = Family::of(*address);
            let place = match family {
                Family::V4 => &mut addresses.v4,
                Family::V6 => &mut addresses.v6,
            };
            if place.replace(*address).is_some() {
                return Err(Refusal::TwoOfOneFamily(family));
            }
        }
        Ok(addresses)
    }

    /// The address of a family.
    pub fn get(&self, family: Family) -> Option<IpAddr> {
        match family {
            Family::V4 => self.v4,
            Family::V6 => self.v6,
        }
    }

    /// All addresses, in status order.
    pub fn iter(&self) -> impl Iterator<Item = IpAddr> {
        self.v4.into_iter().chain(self.v6)
    }

    fn fit(&self, families: Families) -> Result<(), Refusal> {
        if let Some(stray) = self.iter().find(|address| !families.include(Family::of(*address))) {
            return Err(Refusal::WithoutFamily(stray));
        }
        match (families, self.v4, self.v6) {
            (Families::PreferBoth | Families::RequireBoth, Some(only), None)
            | (Families::PreferBoth | Families::RequireBoth, None, Some(only)) => {
                Err(Refusal::OneAddressForTwoFamilies(only))
            }
            _ => Ok(()),
        }
    }
}

fn present(text: Option<&str>) -> Option<&str> {
    text.map(str::trim).filter(|text| !text.is_empty())
}
