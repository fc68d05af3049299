use super::*;

const V4: &str = "clusterIPs: [10.96.0.1]";
const V6: &str = "clusterIPs: ['fd96::1']";
const PREFER: &str = "clusterIPs: [10.96.0.1, 'fd96::1'], ipFamilyPolicy: PreferDualStack";
const REQUIRE: &str = "clusterIPs: ['fd96::1', 10.96.0.1], ipFamilyPolicy: RequireDualStack";

#[test]
fn a_service_asks_for_families_and_addresses() {
    for (annotations, spec, expected) in [
        ("", V4, "One(V4) any"),
        ("", V6, "One(V6) any"),
        ("", PREFER, "PreferBoth any"),
        ("", REQUIRE, "RequireBoth any"),
        ("", "clusterIP: 10.96.0.1", "One(V4) any"),
        ("", "clusterIPs: [10.96.0.1], ipFamilyPolicy: PreferDualStack", "One(V4) any"),
        ("ferrolb.io/address-pool: a", V4, "One(V4) pool a"),
        ("ferrolb.io/address-pool: ' a '", V4, "One(V4) pool a"),
        ("ferrolb.io/address-pool: ''", V4, "One(V4) any"),
        ("metallb.io/address-pool: b", V4, "One(V4) pool b"),
        ("metallb.universe.tf/address-pool: c", V4, "One(V4) pool c"),
        ("metallb.io/address-pool: b, ferrolb.io/address-pool: a", V4, "One(V4) pool a"),
        ("ferrolb.io/loadBalancerIPs: 10.0.0.1", V4, "One(V4) 10.0.0.1"),
        ("ferrolb.io/loadBalancerIPs: ' 10.0.0.1 '", V4, "One(V4) 10.0.0.1"),
        ("ferrolb.io/loadBalancerIPs: '  '", V4, "One(V4) any"),
        ("metallb.io/loadBalancerIPs: 10.0.0.2", V4, "One(V4) 10.0.0.2"),
        ("metallb.universe.tf/loadBalancerIPs: 10.0.0.3", V4, "One(V4) 10.0.0.3"),
        ("ferrolb.io/loadBalancerIPs: 'fd00::0001'", V6, "One(V6) fd00::1"),
        ("ferrolb.io/loadBalancerIPs: 'fd00::1, 10.0.0.1'", PREFER, "PreferBoth 10.0.0.1,fd00::1"),
        ("ferrolb.io/loadBalancerIPs: '10.0.0.1,fd00::1'", REQUIRE, "RequireBoth 10.0.0.1,fd00::1"),
        ("", "clusterIPs: [10.96.0.1], loadBalancerIP: 10.0.0.4", "One(V4) 10.0.0.4"),
        ("", "clusterIPs: [10.96.0.1], loadBalancerIP: ''", "One(V4) any"),
        (
            "ferrolb.io/loadBalancerIPs: 10.0.0.1, ferrolb.io/address-pool: a",
            V4,
            "One(V4) 10.0.0.1 of pool a",
        ),
        (
            "ferrolb.io/loadBalancerIPs: ''",
            "clusterIPs: [10.96.0.1], loadBalancerIP: 10.0.0.4",
            "One(V4) 10.0.0.4",
        ),
    ] {
        assert_eq!(wish_of(annotations, spec), expected, "{annotations} {spec}");
    }
}

#[test]
fn a_contradiction_is_refused_with_its_reason_and_what_to_change() {
    for (annotations, spec, reason, mend) in [
        ("", "clusterIPs: [None]", "RequestInvalid", "remove clusterIP: None"),
        ("", "ports: []", "RequestInvalid", "ClusterIP"),
        ("ferrolb.io/loadBalancerIPs: 10.0.0", V4, "RequestInvalid", "\"10.0.0\" is not an IP address"),
        ("ferrolb.io/loadBalancerIPs: '10.0.0.1,'", V4, "RequestInvalid", "one address of each family"),
        ("ferrolb.io/loadBalancerIPs: '10.0.0.1 10.0.0.2'", V4, "RequestInvalid", "separated by a comma"),
        ("ferrolb.io/loadBalancerIPs: 10.0.0.0/24", V4, "RequestInvalid", "is not an IP address"),
        ("ferrolb.io/loadBalancerIPs: 010.0.0.1", V4, "RequestInvalid", "is not an IP address"),
        ("ferrolb.io/loadBalancerIPs: '10.0.0.1,10.0.0.2'", V4, "RequestInvalid", "two IPv4 addresses"),
        ("ferrolb.io/loadBalancerIPs: 'fd00::1,fd00::1'", PREFER, "RequestInvalid", "two IPv6 addresses"),
        (
            "ferrolb.io/loadBalancerIPs: 10.0.0.1",
            "clusterIPs: [10.96.0.1], loadBalancerIP: 10.0.0.1",
            "RequestInvalid",
            "remove one of them",
        ),
        (
            "metallb.io/loadBalancerIPs: 10.0.0.1",
            "clusterIPs: [10.96.0.1], loadBalancerIP: 10.0.0.2",
            "RequestInvalid",
            "remove one of them",
        ),
        ("", "clusterIPs: [10.96.0.1], loadBalancerIP: nonsense", "RequestInvalid", "\"nonsense\""),
        ("ferrolb.io/loadBalancerIPs: 'fd00::1'", V4, "FamilyMismatch", "no IPv6 ClusterIP"),
        ("ferrolb.io/loadBalancerIPs: 10.0.0.1", V6, "FamilyMismatch", "no IPv4 ClusterIP"),
        ("ferrolb.io/loadBalancerIPs: '10.0.0.1,fd00::1'", V4, "FamilyMismatch", "add IPv6 to ipFamilies"),
        ("ferrolb.io/loadBalancerIPs: 10.0.0.1", PREFER, "FamilyMismatch", "SingleStack"),
        ("ferrolb.io/loadBalancerIPs: 'fd00::1'", REQUIRE, "FamilyMismatch", "one address of each family"),
    ] {
        let refusal = Request::parse(&service(annotations, spec, "")).wish.unwrap_err();
        assert_eq!(refusal.reason().as_str(), reason, "{annotations} {spec}");
        assert!(refusal.to_string().contains(mend), "{refusal} should say {mend}");
    }
}

#[test]
fn only_load_balancers_of_the_class_are_ours() {
    for (spec, class, ours) in [
        ("type: LoadBalancer", None, true),
        ("type: LoadBalancer", Some("ferrolb.io/lb"), false),
        ("type: LoadBalancer, loadBalancerClass: ferrolb.io/lb", Some("ferrolb.io/lb"), true),
        ("type: LoadBalancer, loadBalancerClass: ferrolb.io/lb", None, false),
        ("type: LoadBalancer, loadBalancerClass: other.io/lb", Some("ferrolb.io/lb"), false),
        ("type: ClusterIP", None, false),
        ("type: NodePort", None, false),
        ("type: ExternalName, externalName: example.org", None, false),
        ("ports: []", None, false),
    ] {
        assert_eq!(is_ours(&service("", spec, ""), class), ours, "{spec} for {class:?}");
    }
    assert!(!is_ours(&Service::default(), None));
}

#[test]
fn the_status_tells_what_a_service_has() {
    for (ingress, expected) in [
        ("", ""),
        ("{ip: 10.0.0.1, ipMode: VIP}", "10.0.0.1"),
        ("{ip: 'fd00::1'}, {ip: 10.0.0.1}", "fd00::1 10.0.0.1"),
        ("{ip: 10.0.0.1}, {ip: 10.0.0.1}", "10.0.0.1"),
        ("{hostname: lb.example.org}, {ip: 10.0.0.1}", "10.0.0.1"),
        ("{ip: nonsense}", ""),
    ] {
        let held = Request::parse(&service("", V4, ingress)).held;
        let texts: Vec<_> = held.iter().map(ToString::to_string).collect();
        assert_eq!(texts.join(" "), expected, "{ingress}");
    }
    let noted = Request::parse(&service("ferrolb.io/ip-allocated-from-pool: 'a, b'", V4, "")).held_from;
    assert_eq!(noted, ["a", "b"]);
}

#[test]
fn holders_come_first_then_explicit_requests_then_the_oldest() {
    let created = |second, annotations, ingress| {
        let mut request = Request::parse(&service(annotations, V4, ingress));
        request.created = Timestamp::from_second(second).unwrap();
        request.rank()
    };
    let explicit = "ferrolb.io/loadBalancerIPs: 10.0.0.9";
    let order = [
        created(1, "", "{ip: 10.0.0.1}"),
        created(9, explicit, "{ip: 10.0.0.2}"),
        created(5, explicit, ""),
        created(3, "", ""),
        created(4, "ferrolb.io/address-pool: a", ""),
        created(4, "ferrolb.io/loadBalancerIPs: nonsense", "").max(created(4, "", "")),
    ];
    assert!(order.is_sorted(), "{order:?}");
}

fn wish_of(annotations: &str, spec: &str) -> String {
    let wish = Request::parse(&service(annotations, spec, "")).wish.unwrap();
    let source = match wish.source {
        Source::Automatic => "any".to_owned(),
        Source::Pool(pool) => format!("pool {pool}"),
        Source::Addresses { addresses, pool } => {
            let texts: Vec<_> = addresses.iter().map(|address| address.to_string()).collect();
            let pool = pool.map(|pool| format!(" of pool {pool}")).unwrap_or_default();
            format!("{}{pool}", texts.join(","))
        }
    };
    format!("{:?} {source}", wish.families)
}

fn service(annotations: &str, spec: &str, ingress: &str) -> Service {
    serde_saphyr::from_str(&format!(
        "{{metadata: {{name: web, namespace: default, annotations: {{{annotations}}}}}, spec: {{{spec}}}, \
         status: {{loadBalancer: {{ingress: [{ingress}]}}}}}}"
    ))
    .unwrap()
}
