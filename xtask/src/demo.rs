//! The main job, from a clone to a page fetched by its address.

use std::path::PathBuf;
use std::sync::Arc;

use anyhow::{Result, ensure};
use clap::Args;
use ferrolb_lab::{LabBuilder, end_on_signal};

use crate::cargo::target_dir;
use crate::image;
use crate::shell::Shell;
use crate::spinner::Spinner;

/// The first addresses of the tutorial's pool.
const ADDRESSES: [&str; 2] = ["192.168.1.240", "fd00:192:168:1::240"];
/// What the stock page of nginx says.
const WELCOME: &str = "Welcome to nginx!";

#[derive(Args)]
pub(crate) struct DemoArgs {
    /// Leave the cluster running, as lab "default"
    #[arg(long)]
    keep: bool,
}

pub(crate) fn run(args: &DemoArgs) -> Result<()> {
    end_on_signal()?;
    let spinner = Arc::new(Spinner::default());
    let images = image::write(&images_dir()?)?;
    let nginx = ferrolb_lab::image::nginx(spinner.as_ref())?;
    let mut builder = LabBuilder::new().full_nodes(3).progress(spinner.clone());
    if args.keep {
        builder = builder.name("default");
    }
    let lab = spinner.step("start a cluster of three nodes", || builder.start())?;
    spinner.step("load the images", || {
        [&images.operator, &images.speaker, &nginx].into_iter().try_for_each(|image| lab.load_image(image))
    })?;
    tutorial(&Shell::new(&lab))?;
    if args.keep {
        lab.keep()?;
        how_to_go_on();
        return Ok(());
    }
    spinner.step("remove the cluster", || lab.end())
}

/// What a user types, from the installation to the page.
fn tutorial(shell: &Shell<'_>) -> Result<()> {
    shell.kubectl("apply -f deploy/install.yaml")?;
    shell.kubectl("-n ferrolb-system rollout status deployment/ferrolb-operator --timeout=2m")?;
    shell.kubectl("-n ferrolb-system rollout status daemonset/ferrolb-speaker --timeout=2m")?;
    shell.kubectl("apply -f examples/tutorial/")?;
    shell.kubectl("rollout status deployment/nginx --timeout=2m")?;
    shell.kubectl("wait service/nginx --for=jsonpath={.status.loadBalancer.ingress} --timeout=1m")?;
    let pages = ADDRESSES.map(|address| {
        let host = if address.contains(':') { format!("[{address}]") } else { address.to_owned() };
        shell.client(&[
            "curl",
            "--silent",
            "--show-error",
            "--retry",
            "10",
            "--retry-all-errors",
            "--max-time",
            "5",
            &format!("http://{host}"),
        ])
    });
    shell.kubectl("get pools,l2adv,l2status,svc -A")?;
    shell.kubectl_grep(
        "-n ferrolb-system logs -l app.kubernetes.io/component=speaker --prefix --tail=-1",
        ADDRESSES[0],
    )?;
    shell.client(&["ip", "neigh", "show", "dev", "eth0"])?;
    for (address, page) in ADDRESSES.into_iter().zip(pages) {
        ensure!(page?.contains(WELCOME), "http://{address} did not come back with {WELCOME:?}");
    }
    Ok(())
}

/// Where the images of the working tree go, apart from those that somebody asked for.
pub(crate) fn images_dir() -> Result<PathBuf> {
    Ok(target_dir()?.join("images"))
}

#[expect(clippy::print_stdout, reason = "what the command was run for")]
fn how_to_go_on() {
    println!(
        "
The cluster runs on. Plain kubectl works after the first line; the last one removes everything:

  eval \"$(cargo xtask lab env)\"
  cargo xtask lab exec client -- curl http://{}
  cargo xtask lab fault cut node-1
  cargo xtask lab down",
        ADDRESSES[0]
    );
}
