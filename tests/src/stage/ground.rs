//! What `/dev/shm` lies on, laid over the tmpfs that is there.

use super::Ground;
use nix::mount::{MsFlags, mount};
use std::{
    fs::{self, File, Permissions},
    io,
    os::unix::fs::PermissionsExt,
    process::Command,
};

const FOLDER: &str = "/dev/shm";

/// Where layers and images lie: a file system of its own, in this namespace alone.
const STORE: &str = "/tmp";

pub(super) fn lay(ground: Ground, size: &str) -> io::Result<()> {
    match ground {
        Ground::Tmpfs => return Ok(()),
        Ground::Overlayfs => {
            fs::create_dir(format!("{STORE}/lower"))?;
            overlay(&format!("{STORE}/lower"))?;
        }
        Ground::OverlayfsOfTwo => overlay(FOLDER)?,
        Ground::Ext4 => {
            let image = format!("{STORE}/ext4");
            let mebibytes = size.strip_suffix('m').and_then(|digits| digits.parse::<u64>().ok());
            File::create(&image)?.set_len(mebibytes.ok_or(io::ErrorKind::InvalidInput)? << 20)?;
            run(Command::new("mkfs.ext4").args(["-q", "-m", "0", &image]))?;
            run(Command::new("mount").args(["-o", "loop", &image, FOLDER]))?;
            fs::remove_dir(format!("{FOLDER}/lost+found"))?;
        }
    }
    fs::set_permissions(FOLDER, Permissions::from_mode(0o1777))
}

fn overlay(lower: &str) -> io::Result<()> {
    let (upper, work) = (format!("{STORE}/upper"), format!("{STORE}/work"));
    fs::create_dir(&upper)?;
    fs::create_dir(&work)?;
    let layers = format!("lowerdir={lower},upperdir={upper},workdir={work}");
    mount(Some("overlay"), FOLDER, Some("overlay"), MsFlags::empty(), Some(layers.as_str()))?;
    Ok(())
}

fn run(command: &mut Command) -> io::Result<()> {
    let ran = command.output()?;
    if ran.status.success() {
        return Ok(());
    }
    Err(io::Error::other(format!("{command:?}: {}", String::from_utf8_lossy(&ran.stderr))))
}
