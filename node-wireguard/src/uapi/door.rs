//! The socket in the file system: only its owner may knock, it is whole as soon as it can be seen, and it goes with the device.

use crate::crypto;
use std::fs::{self, DirBuilder, Metadata, Permissions};
use std::io;
use std::os::unix::fs::{DirBuilderExt, MetadataExt, PermissionsExt};
use std::os::unix::net::{UnixListener, UnixStream};
use std::path::{Path, PathBuf};

/// Where the tools look for `INTERFACE.sock`.
pub const FOLDER: &str = "/var/run/wireguard";

/// The folder of the socket, and the interface that it is named after.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Where<'a> {
    pub folder: &'a Path,
    pub interface: &'a str,
}

/// A listening socket that removes its name when it is dropped.
pub struct Door {
    pub listener: UnixListener,
    path: PathBuf,
    /// Device and inode, so that another's socket of this name is left alone.
    file: (u64, u64),
}

impl Door {
    /// Makes the folder if it is not there, and takes the name over from a process that is gone.
    ///
    /// # Errors
    /// `AddrInUse` if somebody answers there; else what the file system says.
    pub fn open(Where { folder, interface }: Where<'_>) -> io::Result<Self> {
        DirBuilder::new().recursive(true).mode(0o755).create(folder)?;
        let path = folder.join(format!("{interface}.sock"));
        // One that listens without a name yet, in a folder that nobody else may enter.
        let made = Making::begin(folder, interface)?;
        let listener = UnixListener::bind(&made.socket)?;
        listener.set_nonblocking(true)?;
        fs::set_permissions(&made.socket, Permissions::from_mode(0o600))?;
        let file = identity(&fs::symlink_metadata(&made.socket)?);
        if UnixStream::connect(&path).is_ok() {
            let words = format!("{} is served by another process", path.display());
            return Err(io::Error::new(io::ErrorKind::AddrInUse, words));
        }
        fs::rename(&made.socket, &path)?;
        Ok(Self { listener, path, file })
    }

    /// Whether the name still leads here.
    pub fn is_there(&self) -> bool {
        fs::symlink_metadata(&self.path).is_ok_and(|found| identity(&found) == self.file)
    }
}

impl Drop for Door {
    fn drop(&mut self) {
        if self.is_there() {
            let _ = fs::remove_file(&self.path); // who removed it in the meantime wanted the same
        }
    }
}

/// A folder that is there only while the socket is made.
struct Making {
    folder: PathBuf,
    socket: PathBuf,
}

impl Making {
    fn begin(beside: &Path, interface: &str) -> io::Result<Self> {
        let random = crypto::random().map(u32::from_le_bytes);
        let random = random.map_err(|_| io::Error::other("the kernel gave no random numbers"))?;
        let folder = beside.join(format!(".{interface}-{random:08x}"));
        DirBuilder::new().mode(0o700).create(&folder)?;
        Ok(Self { socket: folder.join("s"), folder })
    }
}

impl Drop for Making {
    fn drop(&mut self) {
        let _ = fs::remove_dir_all(&self.folder); // empty but for a socket that could not be used
    }
}

fn identity(found: &Metadata) -> (u64, u64) {
    (found.dev(), found.ino())
}
