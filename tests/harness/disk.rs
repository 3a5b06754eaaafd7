//! Small file systems that fill up or fail. Mounting takes root.
use std::path::{Path, PathBuf};
use std::process::Command;

use anyhow::{Context, Result, ensure};
use tempfile::TempDir;

/// A mounted file system, gone when dropped.
#[derive(Debug)]
pub struct Disk {
    folder: TempDir,
    image: Option<PathBuf>,
}

impl Disk {
    /// A file system in memory; `size` as mount takes it, e.g. `64m`.
    pub fn in_memory(size: &str) -> Result<Self> {
        let folder = TempDir::with_prefix("klamm-disk-")?;
        let disk = Self {
            folder,
            image: None,
        };
        run(
            "mount",
            &["-t", "tmpfs", "-o", &format!("size={size}"), "tmpfs"],
            &disk.path(),
        )?;
        Ok(disk)
    }

    /// An ext4 file system of so many MiB in a file.
    pub fn ext4(mebibytes: u64) -> Result<Self> {
        let folder = TempDir::with_prefix("klamm-disk-")?;
        let image = folder.path().join("image");
        std::fs::File::create(&image)?.set_len(mebibytes << 20)?;
        run("mkfs.ext4", &["-q"], &image)?;
        let disk = Self {
            folder,
            image: Some(image),
        };
        disk.mount()?;
        Ok(disk)
    }

    /// Where it is mounted.
    pub fn path(&self) -> PathBuf {
        self.folder.path().join("disk")
    }

    /// Mounts an ext4 that is not mounted, with `-o option` for each.
    fn mount(&self) -> Result<()> {
        let image = self.image.as_ref().context("not ext4")?;
        let image = image.to_str().context("a path of letters")?;
        run("mount", &["-o", "loop", image], &self.path())
    }

    /// Makes an ext4 read-only under its users, as the kernel does after an error.
    pub fn fail(&self) -> Result<()> {
        run("mount", &["-o", "remount,abort"], &self.path())
    }

    /// Unmounts and mounts again, which needs that nobody uses it.
    pub fn mend(&self) -> Result<()> {
        run("umount", &[], &self.path())?;
        self.mount()
    }

    /// Makes it read-only or writable, which needs that nobody writes.
    pub fn set_read_only(&self, read_only: bool) -> Result<()> {
        let option = if read_only {
            "remount,ro"
        } else {
            "remount,rw"
        };
        run("mount", &["-o", option], &self.path())
    }
}

impl Drop for Disk {
    fn drop(&mut self) {
        // Nothing is left to do if it is not mounted.
        let _ = Command::new("umount").arg("-l").arg(self.path()).status();
    }
}

fn run(program: &str, arguments: &[&str], path: &Path) -> Result<()> {
    if program == "mount" {
        std::fs::create_dir_all(path)?;
    }
    let output = Command::new(program).args(arguments).arg(path).output()?;
    ensure!(
        output.status.success(),
        "{program} {arguments:?} {} (this test runs as root): {}",
        path.display(),
        String::from_utf8_lossy(&output.stderr)
    );
    Ok(())
}
