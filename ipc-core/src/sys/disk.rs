//! Files that must outlast a power cut: a directory on a disk, in which a file is made with all its bytes, written
//! at places, and known to be on the disk only once it was synced.

use super::crash::point;
use super::file::{self, Access};
use super::lock;
use super::os_error;
use crate::error::{Error, ErrorKind, Result};
use nix::errno::Errno;
use nix::fcntl::{FallocateFlags, OFlag, fallocate, open, openat};
use nix::sys::resource::{Resource, getrlimit};
use nix::sys::stat::{Mode, fchmod};
use nix::sys::statvfs::fstatvfs;
use nix::sys::uio::{pread, pwrite};
use nix::unistd::{Gid, UnlinkatFlags, fchown, fdatasync, fsync, mkdir, unlinkat};
use std::fmt::Display;
use std::os::fd::{AsFd, OwnedFd};
use std::path::{Path, PathBuf};

/// A directory of files whose bytes may be made durable. The tests have one that loses power.
pub trait Disk: Send {
    /// Where it is, for messages.
    fn place(&self) -> String;
    /// The names of all files.
    fn list(&mut self) -> Result<Vec<String>>;
    /// Makes a file of this many zeros, all of them allocated: a full disk is an error here and not later. What
    /// could not be made is not there.
    fn create(&mut self, name: &str, bytes: u64) -> Result<()>;
    /// Opens a file and tells its size. The one used last stays open.
    fn open(&mut self, name: &str) -> Result<u64>;
    /// Reads what there is from a place on; less than asked for only at the end of the file.
    fn read_at(&mut self, name: &str, at: u64, buffer: &mut [u8]) -> Result<usize>;
    /// Writes all of it; after an error any part of it may have been written.
    fn write_at(&mut self, name: &str, at: u64, bytes: &[u8]) -> Result<()>;
    /// What was written to the file is on the disk afterwards. After an error nobody knows, for good.
    fn sync(&mut self, name: &str) -> Result<()>;
    /// The names are on the disk afterwards as they are now, and likewise.
    fn sync_directory(&mut self) -> Result<()>;
    /// Removes a file; one that is gone already is no error.
    fn remove(&mut self, name: &str) -> Result<()>;
    /// Bytes that are free for new files, as far as it is known; a quota may leave fewer.
    fn room(&self) -> u64;
    /// A number nobody foresees.
    fn salt(&mut self) -> u64;
}

/// A real directory.
pub struct DataDirectory {
    path: PathBuf,
    /// Held open, so that names mean the same directory whatever becomes of its path.
    directory: OwnedFd,
    access: Access,
    /// New files are written full of zeros.
    filled: bool,
    /// The file used last. Only one, for an open file keeps its bytes on the disk after others have removed it.
    opened: Option<(String, OwnedFd)>,
}

impl DataDirectory {
    /// Opens an existing directory; its files get the mode and the group of `access`. New ones are `filled` with zeros on the
    /// disk where many small writes are to be synced: of room that was only promised each sync would have to note, too,
    /// that it holds something now.
    pub fn open(path: &Path, access: Access, filled: bool) -> Result<DataDirectory> {
        let flags = OFlag::O_RDONLY | OFlag::O_DIRECTORY | OFlag::O_CLOEXEC | OFlag::O_NOFOLLOW;
        let directory = open(path, flags, Mode::empty())
            .map_err(|e| disk_error(e, format!("opening the data directory {}", path.display())))?;
        Ok(DataDirectory { path: path.to_owned(), directory, access, filled, opened: None })
    }

    fn failed(&self, doing: &str, name: &str, errno: Errno) -> Error {
        let what = format!("{doing} {}", self.path.join(name).display());
        if errno != Errno::ENOENT {
            return disk_error(errno, what);
        }
        let text = format!(
            "{what}: it, or the data directory it is in, was removed while it was in use: end all that use it, and begin anew with `axonic unlink` ({errno:?})"
        );
        Error::new(ErrorKind::NotFound, text)
    }

    /// The descriptor of a file, which is opened unless it was the last one used.
    fn file(&mut self, name: &str) -> Result<&OwnedFd> {
        if self.opened.as_ref().is_none_or(|(opened, _)| opened != name) {
            let flags = OFlag::O_RDWR | OFlag::O_CLOEXEC | OFlag::O_NOFOLLOW | OFlag::O_NONBLOCK;
            let fd = openat(&self.directory, name, flags, Mode::empty())
                .map_err(|e| self.failed("opening", name, e))?;
            self.opened = Some((name.to_owned(), fd));
        }
        Ok(&self.opened.as_ref().expect("it was just opened").1)
    }

    /// Fills and dresses a new file.
    fn prepare(&self, fd: &OwnedFd, bytes: u64) -> nix::Result<()> {
        let length = i64::try_from(bytes).map_err(|_| Errno::EFBIG)?;
        // Growing a file past this limit would end the process with SIGXFSZ.
        if getrlimit(Resource::RLIMIT_FSIZE).is_ok_and(|(limit, _)| bytes > limit) {
            return Err(Errno::EFBIG);
        }
        if bytes > 0 {
            match retried(|| fallocate(fd, FallocateFlags::empty(), 0, length)) {
                // Filesystems that cannot promise room have it once it is written.
                Err(Errno::EOPNOTSUPP | Errno::ENOSYS) => write_zeros(fd, bytes)?,
                other => other?,
            }
        }
        if self.filled {
            write_zeros(fd, bytes)?;
            retried(|| fdatasync(fd))?;
        }
        fchmod(fd, Mode::from_bits_truncate(self.access.mode))?;
        self.access.group.map_or(Ok(()), |group| fchown(fd, None, Some(Gid::from_raw(group))))
    }
}

impl Disk for DataDirectory {
    fn place(&self) -> String {
        self.path.display().to_string()
    }

    fn list(&mut self) -> Result<Vec<String>> {
        file::names(&self.path)
    }

    fn create(&mut self, name: &str, bytes: u64) -> Result<()> {
        point();
        let flags = OFlag::O_CREAT | OFlag::O_EXCL | OFlag::O_RDWR | OFlag::O_CLOEXEC | OFlag::O_NOFOLLOW;
        let fd = openat(&self.directory, name, flags, Mode::from_bits_truncate(0o600))
            .map_err(|e| self.failed("creating", name, e))?;
        if let Err(e) = self.prepare(&fd, bytes) {
            let _ = unlinkat(&self.directory, name, UnlinkatFlags::NoRemoveDir);
            return Err(self.failed(&format!("reserving {bytes} bytes for"), name, e));
        }
        self.opened = Some((name.to_owned(), fd));
        Ok(())
    }

    fn open(&mut self, name: &str) -> Result<u64> {
        let fd = self.file(name)?;
        file::size(fd.as_fd())
    }

    fn read_at(&mut self, name: &str, at: u64, buffer: &mut [u8]) -> Result<usize> {
        let fd = self.file(name)?;
        let mut done = 0;
        while done < buffer.len() {
            match pread(fd, &mut buffer[done..], at as i64 + done as i64) {
                Ok(0) => break,
                Ok(count) => done += count,
                Err(Errno::EINTR) => {}
                Err(e) => return Err(self.failed("reading", name, e)),
            }
        }
        Ok(done)
    }

    fn write_at(&mut self, name: &str, at: u64, bytes: &[u8]) -> Result<()> {
        point();
        let fd = self.file(name)?;
        write_all(fd, at, bytes).map_err(|e| self.failed("writing", name, e))
    }

    fn sync(&mut self, name: &str) -> Result<()> {
        point();
        let fd = self.file(name)?;
        retried(|| fdatasync(fd)).map_err(|e| self.failed("syncing", name, e))
    }

    fn sync_directory(&mut self) -> Result<()> {
        point();
        retried(|| fsync(&self.directory)).map_err(|e| self.failed("syncing the directory of", "", e))
    }

    fn remove(&mut self, name: &str) -> Result<()> {
        point();
        self.opened.take_if(|(opened, _)| opened == name);
        match unlinkat(&self.directory, name, UnlinkatFlags::NoRemoveDir) {
            Ok(()) | Err(Errno::ENOENT) => Ok(()),
            Err(e) => Err(self.failed("removing", name, e)),
        }
    }

    fn room(&self) -> u64 {
        fstatvfs(&self.directory)
            .map_or(u64::MAX, |free| free.blocks_available().saturating_mul(free.fragment_size()))
    }

    fn salt(&mut self) -> u64 {
        super::process::random()
    }
}

/// Makes a directory and those above it as far as they are missing, and makes sure that their names outlast a power cut.
pub fn ensure(path: &Path, access: &Access) -> Result<()> {
    if path.is_dir() {
        return Ok(());
    }
    let failed =
        |errno, doing: &str| disk_error(errno, format!("{doing} the data directory {}", path.display()));
    let above = path.parent().filter(|above| !above.as_os_str().is_empty()).unwrap_or(Path::new("/"));
    ensure(above, access)?;
    match mkdir(path, Mode::from_bits_truncate(access.directory_mode())) {
        Ok(()) | Err(Errno::EEXIST) => {}
        Err(e) => return Err(failed(e, "making")),
    }
    let flags = OFlag::O_RDONLY | OFlag::O_DIRECTORY | OFlag::O_CLOEXEC;
    let directory = open(above, flags, Mode::empty()).map_err(|e| failed(e, "opening what holds"))?;
    retried(|| fsync(&directory)).map_err(|e| failed(e, "syncing what holds"))
}

/// Whose a directory of files is.
pub enum Claim {
    /// Ours and that of others with the same token, as long as the descriptor is open.
    Shared(OwnedFd),
    /// Somebody else's.
    Others,
    /// Somebody is just claiming it, or removing it.
    Busy,
    /// There is none, or nobody has ever claimed it.
    Missing,
}

/// Claims a directory for all who have the same `token`; who comes `fresh` takes over what nobody holds.
pub fn claim(path: &Path, access: Access, token: u64, fresh: bool) -> Result<Claim> {
    let failed = |e| disk_error(e, format!("claiming the data directory {}", path.display()));
    let create = if fresh { OFlag::O_CREAT } else { OFlag::empty() };
    let Some(fd) = open_owner(path, create, access.mode).map_err(failed)? else { return Ok(Claim::Missing) };
    let alone = fresh && lock::try_lock(fd.as_fd(), 0)?;
    if alone {
        write_all(&fd, 0, &token.to_le_bytes()).map_err(failed)?;
    }
    // Whoever removes the directory has the file alone until it has no name any more.
    if !lock::try_share(fd.as_fd(), 0)? || file::is_unlinked(fd.as_fd()) {
        return Ok(Claim::Busy);
    }
    let mut word = [0; 8];
    let ours = alone || matches!(pread(&fd, &mut word, 0), Ok(8)) && u64::from_le_bytes(word) == token;
    Ok(if ours { Claim::Shared(fd) } else { Claim::Others })
}

/// Whether somebody has claimed a directory. Only looks.
pub fn is_claimed(path: &Path) -> bool {
    file::open_existing(&path.join(OWNER), false).is_ok_and(|fd| lock::is_locked(fd.as_fd(), 0))
}

/// Removes a directory with all that is in it, unless somebody has claimed it or is about to. Whether it did.
///
/// Whoever ends here leaves a directory that is unclaimed, with fewer files in it: it is to be removed again.
pub fn remove(path: &Path) -> Result<bool> {
    let failed = |e| disk_error(e, format!("removing the data directory {}", path.display()));
    let Some(fd) = open_owner(path, OFlag::O_CREAT, 0o600).map_err(failed)? else { return Ok(false) };
    if !lock::try_lock(fd.as_fd(), 0)? || file::is_unlinked(fd.as_fd()) {
        return Ok(false);
    }
    for name in file::names(path)?.iter().filter(|name| *name != OWNER) {
        file::remove(&path.join(name))?;
    }
    file::remove(&path.join(OWNER))?;
    // Whoever comes now claims what is empty, and then it stays.
    file::remove_directory(path);
    Ok(true)
}

/// The file whose lock says whose a directory is; `None` if it, or the directory, is not there.
fn open_owner(path: &Path, create: OFlag, mode: u32) -> nix::Result<Option<OwnedFd>> {
    let flags = create | OFlag::O_RDWR | OFlag::O_CLOEXEC | OFlag::O_NOFOLLOW | OFlag::O_NONBLOCK;
    match open(&path.join(OWNER), flags, Mode::from_bits_truncate(mode)) {
        Err(Errno::ENOENT) => Ok(None),
        opened => opened.map(Some),
    }
}

const OWNER: &str = "owner";

/// A signal that comes in between is no failure.
fn retried(mut call: impl FnMut() -> nix::Result<()>) -> nix::Result<()> {
    loop {
        match call() {
            Err(Errno::EINTR) => {}
            other => return other,
        }
    }
}

fn write_all(fd: &OwnedFd, at: u64, bytes: &[u8]) -> nix::Result<()> {
    write_parts(at, bytes, |part, at| pwrite(fd, part, at))
}

/// Goes on where `write` stopped short.
fn write_parts(
    at: u64,
    bytes: &[u8],
    mut write: impl FnMut(&[u8], i64) -> nix::Result<usize>,
) -> nix::Result<()> {
    let mut done = 0;
    while done < bytes.len() {
        match write(&bytes[done..], at as i64 + done as i64) {
            // A disk that takes nothing and says nothing will not do better the next time.
            Ok(0) => return Err(Errno::EIO),
            Ok(count) => done += count,
            Err(Errno::EINTR) => {}
            Err(e) => return Err(e),
        }
    }
    Ok(())
}

fn write_zeros(fd: &OwnedFd, bytes: u64) -> nix::Result<()> {
    let zeros = vec![0; 64 << 10];
    for at in (0..bytes).step_by(zeros.len()) {
        write_all(fd, at, &zeros[..(bytes - at).min(zeros.len() as u64) as usize])?;
    }
    Ok(())
}

/// Names a failed system call on a data directory, whose remedies are others than those of shared memory.
fn disk_error(errno: Errno, what: impl Display) -> Error {
    let (kind, remedy) = match errno {
        Errno::ENOSPC => (
            ErrorKind::NoSpace,
            "the disk of the data directory is full: free some of it, or set AXONIC_DATA_DIR to a directory on a larger one",
        ),
        Errno::EDQUOT => (
            ErrorKind::NoSpace,
            "this user's quota on the disk of the data directory is used up: have it raised, or set AXONIC_DATA_DIR to a directory on another disk",
        ),
        Errno::EFBIG => (
            ErrorKind::LimitReached,
            "this process may not make files that large in the data directory (AXONIC_DATA_DIR): raise `ulimit -f`",
        ),
        Errno::EIO => (
            ErrorKind::Io,
            "the disk of the data directory fails: look into the system's log (dmesg), and set AXONIC_DATA_DIR to a directory on a sound one",
        ),
        Errno::EROFS => (
            ErrorKind::PermissionDenied,
            "the disk of the data directory is mounted read-only: mount it for writing, or set AXONIC_DATA_DIR to a writable directory",
        ),
        Errno::EACCES | Errno::EPERM => (
            ErrorKind::PermissionDenied,
            "check the owner and mode of the data directory, or set AXONIC_DATA_DIR to a directory of your own",
        ),
        Errno::ELOOP | Errno::ENOTDIR | Errno::EISDIR | Errno::ENXIO => (
            ErrorKind::Corrupt,
            "it is a link or something else than a file or directory of axonic: remove it, or set AXONIC_DATA_DIR to another directory",
        ),
        Errno::ENAMETOOLONG => (
            ErrorKind::InvalidArgument,
            "the path is too long: use a shorter data directory (AXONIC_DATA_DIR) or name",
        ),
        _ => return os_error(errno, what),
    };
    Error::new(kind, format!("{what}: {remedy} ({errno:?})"))
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::os::unix::fs::{MetadataExt, PermissionsExt};

    fn disk(path: &Path) -> DataDirectory {
        DataDirectory::open(path, Access { mode: 0o640, group: None }, true).unwrap()
    }

    #[test]
    fn what_is_written_is_read_by_another() {
        let place = tempfile::tempdir().unwrap();
        let (mut one, mut other) = (disk(place.path()), disk(place.path()));
        one.create("a", 10_000).unwrap();
        one.create("b", 1).unwrap();
        let stat = std::fs::metadata(place.path().join("a")).unwrap();
        assert_eq!((stat.len(), stat.permissions().mode() & 0o777), (10_000, 0o640));
        assert!(stat.blocks() * 512 >= 10_000, "every byte is allocated");
        one.write_at("a", 9_990, b"0123456789").unwrap();
        one.sync("a").unwrap();
        one.sync_directory().unwrap();
        let mut bytes = [1; 20];
        assert_eq!(other.open("a").unwrap(), 10_000);
        assert_eq!(other.read_at("a", 9_985, &mut bytes).unwrap(), 15);
        assert_eq!(bytes, *b"\0\0\0\0\x000123456789\x01\x01\x01\x01\x01");
        let mut names = other.list().unwrap();
        names.sort();
        assert_eq!(names, ["a", "b"]);
        other.remove("a").unwrap();
        other.remove("a").unwrap();
        assert_eq!(one.list().unwrap(), ["b"]);
        assert_ne!(one.salt(), one.salt());
    }

    #[test]
    fn what_is_written_short_is_gone_on_with() {
        let (mut file, text) = ([0; 20], *b"0123456789");
        let mut answers = [Ok(3), Err(Errno::EINTR), Ok(1), Ok(5), Err(Errno::EINTR), Ok(9)].into_iter();
        let written = write_parts(7, &text, |part, at| {
            let count = answers.next().expect("it ends with the last byte")?.min(part.len());
            file[at as usize..at as usize + count].copy_from_slice(&part[..count]);
            Ok(count)
        });
        assert_eq!((written, answers.next()), (Ok(()), None));
        assert_eq!(file[7..17], text);
        assert!(file[..7].iter().chain(&file[17..]).all(|byte| *byte == 0));
        for (end, told) in [(Ok(0), Errno::EIO), (Err(Errno::ENOSPC), Errno::ENOSPC)] {
            let mut answers = [Ok(4), end].into_iter();
            let failed = write_parts(0, &text, |_, _| answers.next().expect("a failure is the end"));
            assert_eq!(failed, Err(told));
        }
    }

    /// Each order in which one who removes a directory and one who claims it can come.
    #[test]
    fn a_directory_is_claimed_or_removed_and_never_both() {
        let place = tempfile::tempdir().unwrap();
        let path = place.path().join("jobs");
        let access = Access { mode: 0o600, group: None };
        let claims = |fresh| claim(&path, access, 7, fresh).unwrap();
        assert!(matches!(claims(true), Claim::Missing), "it is not there");
        ensure(&path, &access).unwrap();
        assert!(
            matches!(claims(false), Claim::Missing) && !path.join(OWNER).exists(),
            "nobody has claimed it"
        );
        std::fs::write(path.join("a"), "kept").unwrap();
        let Claim::Shared(mine) = claims(true) else { panic!("nobody else is there") };
        assert!(!remove(&path).unwrap() && path.join("a").exists(), "it is claimed");
        // One opens the file before it is removed, and has its lock after.
        drop(mine);
        let early = open_owner(&path, OFlag::O_CREAT, 0o600).unwrap().unwrap();
        assert!(lock::try_lock(early.as_fd(), 0).unwrap());
        assert!(matches!(claims(true), Claim::Busy), "it is being removed");
        lock::unlock(early.as_fd(), 0);
        assert!(remove(&path).unwrap() && !path.exists());
        assert!(lock::try_share(early.as_fd(), 0).unwrap() && file::is_unlinked(early.as_fd()));
        assert!(!remove(&path).unwrap(), "it is gone");
    }

    /// Every failure names the data directory, its setting and a remedy.
    #[test]
    fn failures_speak_of_the_disk() {
        let place = tempfile::tempdir().unwrap();
        let mut disk = disk(place.path());
        assert_eq!(disk.create("huge", u64::MAX).unwrap_err().kind(), ErrorKind::LimitReached);
        assert_eq!(disk.list().unwrap(), [""; 0], "what could not be made is not there");
        let gone = disk.open("none").unwrap_err();
        assert!(gone.kind() == ErrorKind::NotFound && gone.message().contains("was removed"), "{gone}");
        disk.create("a", 1).unwrap();
        assert_eq!(disk.create("a", 1).unwrap_err().kind(), ErrorKind::AlreadyExists);
        std::os::unix::fs::symlink("a", place.path().join("link")).unwrap();
        assert_eq!(disk.open("link").unwrap_err().kind(), ErrorKind::Corrupt);
        for errno in [Errno::ENOSPC, Errno::EDQUOT, Errno::EIO, Errno::EROFS] {
            let text = disk.failed("writing", "a", errno).to_string();
            let path = place.path().join("a");
            assert!(text.starts_with(&format!("writing {}: ", path.display())), "{text}");
            assert!(text.contains("data directory") && text.contains("AXONIC_DATA_DIR"), "{text}");
        }
    }
}
