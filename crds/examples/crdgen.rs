//! Writes the CustomResourceDefinitions into a folder: `crdgen DIR`.

use std::path::PathBuf;

fn main() -> Result<(), Box<dyn std::error::Error>> {
    let folder = PathBuf::from(std::env::args_os().nth(1).ok_or("usage: crdgen DIR")?);
    for (file, crd) in ferrolb_crds::manifest::all() {
        std::fs::write(folder.join(file), serde_saphyr::to_string(&crd)?)?;
    }
    Ok(())
}
