//! Who may do what in the cluster: static tokens for its own components, real ones for everybody else.

use std::collections::BTreeMap;
use std::fs;
use std::io::Read as _;
use std::os::unix::fs::OpenOptionsExt as _;
use std::path::Path;

use anyhow::{Context, Result};
use base64::prelude::{BASE64_STANDARD, Engine as _};
use serde_json::json;

use crate::plan::Plan;

/// A user of the API server and the groups it belongs to.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct User {
    pub(crate) name: String,
    group: Option<&'static str>,
}

impl User {
    fn new(name: &str, group: Option<&'static str>) -> Self {
        Self { name: name.to_owned(), group }
    }

    pub(crate) fn admin() -> Self {
        Self::new("admin", Some("system:masters"))
    }

    pub(crate) fn controller_manager() -> Self {
        Self::new("system:kube-controller-manager", None)
    }

    pub(crate) fn scheduler() -> Self {
        Self::new("system:kube-scheduler", None)
    }

    pub(crate) fn proxy() -> Self {
        Self::new("system:kube-proxy", None)
    }

    pub(crate) fn node(name: &str) -> Self {
        Self::new(&format!("system:node:{name}"), Some("system:nodes"))
    }
}

/// The static tokens of a lab, by user.
#[derive(Debug)]
pub(crate) struct Tokens(BTreeMap<String, String>);

impl Tokens {
    /// Makes a token for every component of the plan, and writes them for the API server to read.
    pub(crate) fn create(plan: &Plan, path: &Path) -> Result<Self> {
        let components = [User::admin(), User::controller_manager(), User::scheduler(), User::proxy()];
        let nodes = plan.nodes().map(|node| User::node(&node.name));
        let mut tokens = BTreeMap::new();
        let mut table = String::new();
        for user in components.into_iter().chain(nodes) {
            let token = random_token()?;
            table += &line(&user, &token);
            tokens.insert(user.name, token);
        }
        write_secret(path, &table)?;
        Ok(Self(tokens))
    }

    /// Reads what [`Self::create`] wrote.
    pub(crate) fn read(path: &Path) -> Result<Self> {
        let table = fs::read_to_string(path).with_context(|| format!("read {}", path.display()))?;
        Ok(Self(parse(&table)))
    }

    pub(crate) fn of(&self, user: &User) -> Result<&str> {
        self.0.get(&user.name).map(String::as_str).with_context(|| format!("no token for {}", user.name))
    }
}

/// A line of the API server's token file: token, user, user id, groups.
fn line(user: &User, token: &str) -> String {
    let group = user.group.map(|group| format!(",\"{group}\"")).unwrap_or_default();
    format!("{token},{0},{0}{group}\n", user.name)
}

fn parse(table: &str) -> BTreeMap<String, String> {
    let entry = |line: &str| {
        let mut fields = line.split(',');
        let token = fields.next()?.to_owned();
        Some((fields.next()?.to_owned(), token))
    };
    table.lines().filter_map(entry).collect()
}

fn random_token() -> Result<String> {
    let mut bytes = [0; 16];
    fs::File::open("/dev/urandom")?.read_exact(&mut bytes)?;
    Ok(bytes.iter().map(|byte| format!("{byte:02x}")).collect())
}

/// Writes a kubeconfig (JSON is YAML) that holds all it needs.
pub(crate) fn write_kubeconfig(path: &Path, server: &str, ca: &[u8], user: &str, token: &str) -> Result<()> {
    let config = json!({
        "apiVersion": "v1",
        "kind": "Config",
        "clusters": [{"name": "lab", "cluster": {"server": server, "certificate-authority-data": BASE64_STANDARD.encode(ca)}}],
        "users": [{"name": user, "user": {"token": token}}],
        "contexts": [{"name": "lab", "context": {"cluster": "lab", "user": user}}],
        "current-context": "lab",
    });
    write_secret(path, &config.to_string())
}

fn write_secret(path: &Path, text: &str) -> Result<()> {
    use std::io::Write as _;
    let mut options = fs::OpenOptions::new();
    let file = options.create(true).write(true).truncate(true).mode(0o600).open(path);
    file.and_then(|mut file| file.write_all(text.as_bytes()))
        .with_context(|| format!("write {}", path.display()))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn tokens_come_back_from_the_file_that_the_api_server_reads() {
        let table = line(&User::node("node-1"), "abc") + &line(&User::proxy(), "def");
        assert_eq!(
            table,
            "abc,system:node:node-1,system:node:node-1,\"system:nodes\"\ndef,system:kube-proxy,system:kube-proxy\n"
        );
        let tokens = Tokens(parse(&table));
        assert_eq!(tokens.of(&User::node("node-1")).unwrap(), "abc");
        assert!(tokens.of(&User::admin()).is_err());
    }
}
