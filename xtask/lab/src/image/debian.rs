//! Files of Debian packages, without installing them.

use std::collections::{BTreeMap, BTreeSet};
use std::fs;
use std::path::Path;
use std::process::{Command, Output};

use anyhow::{Context, Result, bail};

/// Unpacks `package`, the libraries that it needs, and `more`, into the folder `root`.
pub(super) fn unpack(package: &str, more: &[&str], root: &Path) -> Result<()> {
    let listing = run(Command::new("apt-cache").args([
        "depends",
        "--recurse",
        "--no-recommends",
        "--no-suggests",
        "--no-conflicts",
        "--no-breaks",
        "--no-replaces",
        "--no-enhances",
        package,
    ]))?;
    let mut wanted = libraries(&String::from_utf8_lossy(&listing.stdout), package);
    wanted.insert(package.to_owned());
    wanted.extend(more.iter().map(|&name| name.to_owned()));
    let downloads = root.with_extension("debs");
    fs::create_dir_all(&downloads)?;
    fs::create_dir_all(root)?;
    run(Command::new("apt-get").arg("download").args(&wanted).current_dir(&downloads))?;
    for file in fs::read_dir(&downloads)? {
        run(Command::new("dpkg-deb").arg("--extract").arg(file?.path()).arg(root))?;
    }
    Ok(fs::remove_dir_all(&downloads)?)
}

/// The libraries that `package` needs, directly or through others, from the output of `apt-cache depends`.
///
/// Nothing else: programs and scripts that a package depends on serve its installation, or are optional in fact.
fn libraries(listing: &str, package: &str) -> BTreeSet<String> {
    let mut needs: BTreeMap<&str, Vec<&str>> = BTreeMap::new();
    let mut current = "";
    for line in listing.lines() {
        if !line.starts_with([' ', '|']) {
            current = line.trim();
        } else if let Some((relation, target)) = line.trim_start_matches([' ', '|']).split_once(": ")
            && matches!(relation, "Depends" | "PreDepends")
            // In angle brackets is what no package is called; those that provide it follow.
            && !target.starts_with('<')
        {
            needs.entry(current).or_default().push(target.trim());
        }
    }
    let mut found = BTreeSet::new();
    let mut open = vec![package];
    while let Some(name) = open.pop() {
        for need in needs.get(name).into_iter().flatten() {
            if is_library(need) && found.insert((*need).to_owned()) {
                open.push(need);
            }
        }
    }
    found
}

/// By its name: Debian's policy (8.1) derives it from the library's, so all but zlib's begin with `lib`.
fn is_library(package: &str) -> bool {
    package.starts_with("lib") || package.starts_with("zlib")
}

fn run(command: &mut Command) -> Result<Output> {
    let program = command.get_program().to_string_lossy().into_owned();
    let output =
        command.output().with_context(|| format!("run {program}: this image is made on Debian or Ubuntu"))?;
    if !output.status.success() {
        bail!("{program}: {}", String::from_utf8_lossy(&output.stderr).trim());
    }
    Ok(output)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn libraries_are_followed_and_everything_else_is_not() {
        let listing = "web\n  Depends: libtls3\n  Depends: zlib1g\n |Depends: lsb-base\n  Depends: web-common\n  PreDepends: libc6\n\
            libtls3\n  Depends: libc6\n  Depends: <debconf-2.0>\n    cdebconf\n\
            web-common\n  Depends: libperl5\n\
            libc6\n  Depends: libgcc-s1\nlibgcc-s1\n  Depends: libc6\nlibperl5\n";
        let expected = ["libc6", "libgcc-s1", "libtls3", "zlib1g"].map(str::to_owned);
        assert_eq!(libraries(listing, "web"), BTreeSet::from(expected));
    }

    #[test]
    fn a_package_that_is_not_listed_needs_nothing() {
        assert!(libraries("", "web").is_empty());
    }
}
