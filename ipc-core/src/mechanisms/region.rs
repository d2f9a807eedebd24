//! Regions: named raw shared memory, and sealed memory that is passed as a descriptor.

use crate::domain::layout::{Header, Kind, SharedName, map_checked};
use crate::domain::{Directory, Domain, closed};
use crate::error::{Error, ErrorKind, Result};
use crate::mechanisms::topic::lifetime;
use crate::name::check_name;
use crate::sys::file::{self, FileErrno};
use crate::sys::mapping::{Mapping, page_size};
use crate::sys::os_error;
use std::fmt;
use std::os::fd::{AsFd, AsRawFd, OwnedFd, RawFd};
use tracing::debug;

/// Whether a region may or must exist.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Create {
    /// Open it, or make it if it does not exist.
    #[default]
    OpenOrCreate,
    /// Make it; fail with `AlreadyExists` if it exists.
    CreateNew,
    /// Open it; fail with `NotFound` if it does not exist.
    Open,
}

/// How to open a region.
#[derive(Clone, Debug, Default)]
pub struct RegionOptions {
    /// Bytes. Needed to make one; an existing region must have the same size if given.
    pub size: Option<usize>,
    /// Whether it may or must exist.
    pub create: Create,
}

/// Shared memory as plain bytes. Every process that opens it sees the same bytes at once; what they
/// mean, and who writes when, is the users' affair. `Send` and `Sync`; it stays mapped until dropped,
/// and exists until `Domain::unlink`. A forked child shares the mapping.
pub struct Region {
    domain: Option<Domain>,
    name: String,
    map: Mapping,
    offset: usize,
    length: usize,
    created: bool,
    fd: Option<OwnedFd>,
}

impl Domain {
    /// Opens or makes the region `name`; its bytes start as zeros.
    pub fn region(&self, name: &str, options: &RegionOptions) -> Result<Region> {
        check_name("region", name)?;
        let domain = self.current()?;
        lifetime::arrive(&domain);
        let region =
            open_or_create(&domain, name, options).map_err(|e| domain.not_opened("region", name, e))?;
        let how = if region.created { "made" } else { "opened" };
        debug!("region '{name}': {how} it, {} bytes", region.length);
        Ok(region)
    }
}

fn open_or_create(domain: &Domain, name: &str, options: &RegionOptions) -> Result<Region> {
    let path = domain.inner().directory(Directory::Regions).join(name);
    loop {
        if options.create != Create::CreateNew {
            match open(domain, name, &path) {
                Err(e) if e.kind() == ErrorKind::NotFound && options.create == Create::OpenOrCreate => {}
                Err(e) if e.kind() == ErrorKind::NotFound => {
                    let text = format!(
                        "region '{name}' does not exist in domain '{}'; make it with a size",
                        domain.name()
                    );
                    return Err(Error::new(ErrorKind::NotFound, text));
                }
                Err(e) => return Err(e),
                Ok(region) => return region.of_size(options.size),
            }
        }
        if let Some(region) = create(domain, name, &path, options)? {
            return Ok(region);
        }
    }
}

fn open(domain: &Domain, name: &str, path: &std::path::Path) -> Result<Region> {
    let fd = file::open_existing(path, true)?;
    let offset = page_size();
    let map = map_checked(fd.as_fd(), Kind::Region, offset, true, &path.display())?;
    let length = map.len() - offset;
    Ok(Region {
        domain: Some(domain.clone()),
        name: name.into(),
        map,
        offset,
        length,
        created: false,
        fd: None,
    })
}

/// `None`: somebody else made it meanwhile and it may be opened.
fn create(
    domain: &Domain,
    name: &str,
    path: &std::path::Path,
    options: &RegionOptions,
) -> Result<Option<Region>> {
    let size = options
        .size
        .filter(|size| *size > 0 && *size <= isize::MAX as usize - page_size())
        .ok_or_else(|| {
            Error::new(
                ErrorKind::InvalidArgument,
                format!("region '{name}' does not exist; give a size in bytes, at least 1, to make it"),
            )
        })?;
    let inner = domain.inner();
    let offset = page_size();
    let fd = inner.create_file(Directory::Regions, offset + size)?;
    let map = Mapping::new(fd.as_fd(), offset + size, true)?;
    map.at::<Header>(0).write(Kind::Region, offset + size, inner.me(), inner.new_id());
    map.at::<SharedName>(size_of::<Header>()).write(name);
    match file::link(fd.as_fd(), path) {
        Ok(()) => Ok(Some(Region {
            domain: Some(domain.clone()),
            name: name.into(),
            map,
            offset,
            length: size,
            created: true,
            fd: None,
        })),
        Err(FileErrno::EEXIST) if options.create == Create::OpenOrCreate => Ok(None),
        Err(FileErrno::EEXIST) => {
            let text = format!(
                "region '{name}' exists already; open it, or remove it with `axonic unlink region {name}`"
            );
            Err(Error::new(ErrorKind::AlreadyExists, text))
        }
        Err(e) => Err(os_error(e, format!("creating region '{name}'"))),
    }
}

impl Region {
    /// A copy of `data` in memory that nobody, its maker included, can change or truncate any more.
    /// Pass [`Region::fd`] to another process, which opens it with [`Region::from_fd`].
    pub fn sealed(data: &[u8]) -> Result<Region> {
        if data.is_empty() {
            return Err(Error::new(ErrorKind::InvalidArgument, "a sealed region needs at least one byte"));
        }
        let fd = file::create_sealed(data)?;
        Region::from_fd(fd)
    }

    /// Maps a sealed region received from another process. The seals are checked: without them the
    /// sender could pull the memory away under its reader.
    pub fn from_fd(fd: OwnedFd) -> Result<Region> {
        file::check_seals(fd.as_fd())?;
        let length = file::size(fd.as_fd())? as usize;
        let map = Mapping::new(fd.as_fd(), length, false)?;
        Ok(Region { domain: None, name: String::new(), map, offset: 0, length, created: false, fd: Some(fd) })
    }

    fn of_size(self, size: Option<usize>) -> Result<Region> {
        match size {
            Some(size) if size != self.length => Err(Error::new(
                ErrorKind::InvalidArgument,
                format!(
                    "region '{}' has {} bytes, not {size}; open it without a size, or unlink it first",
                    self.name, self.length
                ),
            )),
            _ => Ok(self),
        }
    }

    /// Its name; empty if it is sealed.
    pub fn name(&self) -> &str {
        &self.name
    }

    /// Bytes.
    pub fn len(&self) -> usize {
        self.length
    }

    /// Never: regions have at least one byte.
    pub fn is_empty(&self) -> bool {
        self.length == 0
    }

    /// Whether this call made it.
    pub fn is_created(&self) -> bool {
        self.created
    }

    /// Whether it may be written; sealed ones may not.
    pub fn writable(&self) -> bool {
        self.map.writable()
    }

    /// The descriptor of a sealed region.
    pub fn fd(&self) -> Option<RawFd> {
        self.fd.as_ref().map(|fd| fd.as_raw_fd())
    }

    /// The memory, page-aligned, valid as long as this region. Other processes may write to it at any
    /// time; reading and writing through the pointer is the caller's responsibility.
    pub fn as_ptr(&self) -> *mut u8 {
        // SAFETY: the offset is within the mapping.
        unsafe { self.map.as_mut_ptr().add(self.offset) }
    }

    /// Copies bytes out, from `offset`. Not atomic against writers.
    pub fn read(&self, offset: usize, to: &mut [u8]) -> Result<()> {
        self.check(offset, to.len())?;
        // SAFETY: in bounds; `to` is ours and elsewhere.
        unsafe { std::ptr::copy_nonoverlapping(self.as_ptr().add(offset), to.as_mut_ptr(), to.len()) };
        Ok(())
    }

    /// Copies bytes in, at `offset`. Not atomic against readers.
    pub fn write(&self, offset: usize, from: &[u8]) -> Result<()> {
        if !self.writable() {
            return Err(Error::new(ErrorKind::PermissionDenied, "a sealed region cannot be written"));
        }
        self.check(offset, from.len())?;
        // SAFETY: in bounds and writable; `from` may be any memory, even this region's own.
        unsafe { std::ptr::copy(from.as_ptr(), self.as_ptr().add(offset), from.len()) };
        Ok(())
    }

    fn check(&self, offset: usize, length: usize) -> Result<()> {
        if self.domain.as_ref().is_some_and(Domain::is_closed) {
            return Err(closed(&format!("region '{}': its domain", self.name)));
        }
        match offset.checked_add(length) {
            Some(end) if end <= self.length => Ok(()),
            _ => Err(Error::new(
                ErrorKind::InvalidArgument,
                format!(
                    "region '{}': {length} bytes at {offset} are outside its {} bytes",
                    self.name, self.length
                ),
            )),
        }
    }
}

// SAFETY: plain shared memory; synchronising its use is the users' affair, between threads as between processes.
unsafe impl Send for Region {}
// SAFETY: as above.
unsafe impl Sync for Region {}

impl fmt::Debug for Region {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let what = if self.domain.is_some() { &self.name } else { "sealed" };
        write!(f, "Region({what:?}, {} bytes)", self.length)
    }
}
