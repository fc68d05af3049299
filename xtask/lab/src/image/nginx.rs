//! A real nginx: Debian's packages, set up as the official image is.

use std::fs;
use std::path::Path;

use anyhow::Result;

use super::archive::{Entry, Image};
use super::debian;

/// The name of the image, as containerd completes `nginx:1`; pods that use it need no registry.
pub const NGINX_IMAGE: &str = "docker.io/library/nginx:1";
/// To be changed whenever the recipe below changes.
pub(super) const CACHE_NAME: &str = "nginx-3.tar";

/// The stock page, on both families, over connections that last as long as a test does.
const SITE: &str = "server {
    listen 80 default_server;
    listen [::]:80 default_server;
    root /usr/share/nginx/html;
    keepalive_requests 1000000000;
    keepalive_timeout 1h;
}
";

/// Writes the image's archive.
pub(super) fn make(path: &Path) -> Result<()> {
    let root = path.with_extension("root");
    let made = debian::unpack("nginx", &["nginx-common"], &root).and_then(|()| write(&root, path));
    let removed = fs::remove_dir_all(&root);
    made?;
    Ok(removed?)
}

fn write(root: &Path, path: &Path) -> Result<()> {
    for needless in ["usr/share/doc", "usr/share/man", "usr/share/locale", "usr/share/lintian"] {
        let dir = root.join(needless);
        if dir.exists() {
            fs::remove_dir_all(dir)?;
        }
    }
    let log = |name: &str, target: &str| Entry::link(format!("var/log/nginx/{name}.log"), target);
    Image {
        name: NGINX_IMAGE.into(),
        entrypoint: vec!["/usr/sbin/nginx".into(), "-g".into(), "daemon off;".into()],
        user: String::new(),
        env: Vec::new(),
        entries: vec![
            Entry::tree("", root),
            Entry::text("etc/passwd", "root:x:0:0::/root:/bin/sh\nwww-data:x:33:33::/var/www:/bin/false\n"),
            Entry::text("etc/group", "root:x:0:\nwww-data:x:33:\n"),
            Entry::text("etc/nginx/conf.d/default.conf", SITE),
            Entry::directory("run", 0o755),
            Entry::directory("tmp", 0o1777),
            Entry::directory("var/lib/nginx", 0o755),
            log("access", "/dev/stdout"),
            log("error", "/dev/stderr"),
        ],
    }
    .write(path)
}
