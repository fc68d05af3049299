use std::collections::BTreeMap;

use super::*;

#[test]
fn the_manifest_names_what_the_archive_holds_by_digest() {
    let folder = Folder::new("manifest");
    let files = read_archive(&folder.write("a.tar"));
    let manifest: serde_json::Value = serde_json::from_slice(&files["manifest.json"]).unwrap();
    assert_eq!(manifest[0]["RepoTags"][0], "ferrolb.io/test:1");

    let config_name = manifest[0]["Config"].as_str().unwrap();
    assert_eq!(config_name, format!("{}.json", hex(&Sha256::digest(&files[config_name]))));

    let config: serde_json::Value = serde_json::from_slice(&files[config_name]).unwrap();
    let layer = &files[manifest[0]["Layers"][0].as_str().unwrap()];
    assert_eq!(config["rootfs"]["diff_ids"][0], format!("sha256:{}", hex(&Sha256::digest(layer))));
    assert_eq!(config["config"]["User"], "65532:65532");
}

#[test]
fn the_layer_holds_the_entries_with_their_modes_and_targets() {
    let folder = Folder::new("layer");
    let files = read_archive(&folder.write("a.tar"));
    let layer = files.iter().find(|(name, _)| name.ends_with("layer.tar")).unwrap().1;
    let mut archive = tar::Archive::new(layer.as_slice());
    let entries: BTreeMap<_, _> = archive
        .entries()
        .unwrap()
        .map(|entry| {
            let entry = entry.unwrap();
            let target = entry.link_name().unwrap().map(|target| target.display().to_string());
            (entry.path().unwrap().display().to_string(), (entry.header().mode().unwrap(), target))
        })
        .collect();
    assert_eq!(entries["program"], (0o755, None));
    assert_eq!(entries["etc/passwd"], (0o644, None));
    assert_eq!(entries["tmp"], (0o1777, None));
    assert_eq!(entries["log"], (0o777, Some("/dev/stdout".to_owned())));
    assert_eq!(entries["tree/inner/file"], (0o644, None));
}

#[test]
fn the_same_content_gives_the_same_bytes() {
    let folder = Folder::new("same");
    let first = folder.write("a.tar");
    let file = File::options().write(true).open(folder.0.join("source")).unwrap();
    file.set_modified(std::time::UNIX_EPOCH).unwrap();
    assert_eq!(fs::read(first).unwrap(), fs::read(folder.write("b.tar")).unwrap());
}

#[test]
fn a_missing_source_is_named_in_the_error_and_no_layer_is_left_behind() {
    let folder = Folder::new("missing");
    let mut image = folder.image();
    image.entries.push(Entry::file("gone", folder.0.join("gone"), 0o644));
    let error = format!("{:#}", image.write(&folder.0.join("c.tar")).unwrap_err());
    assert!(error.contains("/gone"), "{error}");
    let mut left: Vec<_> = fs::read_dir(&folder.0).unwrap().map(|entry| entry.unwrap().file_name()).collect();
    left.sort();
    assert_eq!(left, ["source", "tree"]);
}

#[test]
fn several_threads_may_write_one_image_at_a_time() {
    let folder = Folder::new("threads");
    let write = || {
        let path = beside(&folder.0.join("a.tar"));
        folder.image().write(&path).unwrap();
        fs::read(path).unwrap()
    };
    let written: Vec<_> = std::thread::scope(|scope| {
        let threads: Vec<_> = (0..8).map(|_| scope.spawn(write)).collect();
        threads.into_iter().map(|thread| thread.join().unwrap()).collect()
    });
    assert!(written.iter().all(|bytes| *bytes == written[0]));
}

fn read_archive(path: &Path) -> BTreeMap<String, Vec<u8>> {
    let mut archive = tar::Archive::new(File::open(path).unwrap());
    let read = |entry: io::Result<tar::Entry<'_, File>>| {
        let mut entry = entry.unwrap();
        let mut bytes = Vec::new();
        entry.read_to_end(&mut bytes).unwrap();
        (entry.path().unwrap().display().to_string(), bytes)
    };
    archive.entries().unwrap().map(read).collect()
}

/// A folder with sources, removed at the end of the test.
struct Folder(PathBuf);

impl Folder {
    fn new(name: &str) -> Self {
        let folder = std::env::temp_dir().join(format!("ferrolb-image-{name}-{}", std::process::id()));
        fs::create_dir_all(folder.join("tree/inner")).unwrap();
        fs::write(folder.join("source"), "#!/bin/sh\n").unwrap();
        let inner = folder.join("tree/inner/file");
        fs::write(&inner, "x").unwrap();
        fs::set_permissions(&inner, fs::Permissions::from_mode(0o644)).unwrap();
        Self(folder)
    }

    fn image(&self) -> Image {
        Image {
            name: "ferrolb.io/test:1".into(),
            entrypoint: vec!["/program".into()],
            user: "65532:65532".into(),
            env: Vec::new(),
            entries: vec![
                Entry::file("program", self.0.join("source"), 0o755),
                Entry::text("etc/passwd", "root:x:0:0::/:\n"),
                Entry::directory("tmp", 0o1777),
                Entry::link("log", "/dev/stdout"),
                Entry::tree("tree", self.0.join("tree")),
            ],
        }
    }

    fn write(&self, name: &str) -> PathBuf {
        let path = self.0.join(name);
        self.image().write(&path).unwrap();
        path
    }
}

impl Drop for Folder {
    fn drop(&mut self) {
        fs::remove_dir_all(&self.0).unwrap();
    }
}
