//! The CustomResourceDefinitions, as `kubectl apply -f crds/` installs them.

use k8s_openapi::apiextensions_apiserver::pkg::apis::apiextensions::v1::{
    CustomResourceDefinition, JSON, JSONSchemaProps,
};
use kube::CustomResourceExt;
use serde_json::json;

use crate::{IPAddressPool, L2Advertisement, ServiceL2Status};

/// All CustomResourceDefinitions, by the name of the file that each is kept in.
pub fn all() -> Vec<(&'static str, CustomResourceDefinition)> {
    vec![
        ("ipaddresspools.yaml", never_observed_by_default(IPAddressPool::crd())),
        ("l2advertisements.yaml", never_observed_by_default(L2Advertisement::crd())),
        ("servicel2statuses.yaml", without_status_subresource(ServiceL2Status::crd())),
    ]
}

/// Gives a new object `status.observedGeneration: -1`, so that kstatus doesn't take it for reconciled before the
/// operator has seen it. The derive macro knows no default for the status as a whole.
fn never_observed_by_default(mut crd: CustomResourceDefinition) -> CustomResourceDefinition {
    for version in &mut crd.spec.versions {
        if let Some(status) = root_property(version.schema.as_mut(), "status") {
            status.default = Some(JSON(json!({ "observedGeneration": -1 })));
        }
    }
    crd
}

/// A report is one write: with the subresource, creating one with its status would take two.
fn without_status_subresource(mut crd: CustomResourceDefinition) -> CustomResourceDefinition {
    for version in &mut crd.spec.versions {
        version.subresources = None;
    }
    crd
}

fn root_property<'a>(
    schema: Option<
        &'a mut k8s_openapi::apiextensions_apiserver::pkg::apis::apiextensions::v1::CustomResourceValidation,
    >,
    name: &str,
) -> Option<&'a mut JSONSchemaProps> {
    schema?.open_api_v3_schema.as_mut()?.properties.as_mut()?.get_mut(name)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn pools_and_advertisements_start_unobserved_and_reports_have_no_subresource() {
        for (file, crd) in all() {
            let version = &crd.spec.versions[0];
            let schema = serde_json::to_value(&version.schema).unwrap();
            let default = &schema["openAPIV3Schema"]["properties"]["status"]["default"];
            if file == "servicel2statuses.yaml" {
                assert!(version.subresources.is_none());
            } else {
                assert_eq!(*default, json!({ "observedGeneration": -1 }), "{file}");
                assert!(version.subresources.as_ref().unwrap().status.is_some());
            }
        }
    }

    #[test]
    fn every_field_of_the_schema_is_described() {
        for (file, crd) in all() {
            let schema = serde_json::to_value(&crd.spec.versions[0].schema).unwrap();
            let undescribed = undescribed(&schema["openAPIV3Schema"], "");
            assert!(undescribed.is_empty(), "{file}: {undescribed:?}");
        }
    }

    fn undescribed(schema: &serde_json::Value, path: &str) -> Vec<String> {
        let properties = schema["properties"].as_object().into_iter().flatten();
        let items = schema.get("items").into_iter().flat_map(|items| undescribed(items, path));
        properties
            .flat_map(|(name, property)| {
                let path = format!("{path}.{name}");
                let missing = property.get("description").is_none().then(|| path.clone());
                missing.into_iter().chain(undescribed(property, &path)).collect::<Vec<_>>()
            })
            .chain(items)
            .collect()
    }
}
