//! Named raw shared memory, and the sealed kind that travels as a descriptor.

use crate::args::{self, Out, Versioned};
use crate::domain::axonic_domain;
use crate::error::{Failure, Outcome, enter, enter_or};
use crate::handle::{self, Noun};
use axonic::{Create, ErrorKind, Region, RegionOptions};
use std::ffi::{CString, c_char, c_int, c_void};
use std::os::fd::BorrowedFd;
use std::ptr::{null, null_mut};

/// A piece of memory that several processes map.
pub struct axonic_region(());

pub(crate) struct State {
    region: Region,
    name: CString,
}

impl Noun for axonic_region {
    const NAME: &'static str = "axonic_region";
    type State = State;
}

/// Whether opening may create.
#[repr(C)]
#[derive(Clone, Copy)]
pub enum axonic_create {
    AXONIC_CREATE_OPEN_OR_CREATE = 0,
    /// AXONIC_ERROR_ALREADY_EXISTS if it does.
    AXONIC_CREATE_NEW = 1,
    /// AXONIC_ERROR_NOT_FOUND if it does not exist.
    AXONIC_CREATE_OPEN = 2,
}

/// Start with AXONIC_REGION_OPTIONS_INIT.
#[repr(C)]
#[derive(Clone, Copy)]
pub struct axonic_region_options {
    /// sizeof(axonic_region_options)
    pub size: usize,
    /// Bytes; needed to create. Not 0 and not the size of an existing region: AXONIC_ERROR_INVALID_ARGUMENT.
    pub bytes: usize,
    /// An axonic_create.
    pub create: i32,
    /// 0; for later versions.
    pub reserved: i32,
}

// SAFETY: `repr(C)`, the size first, numbers only.
unsafe impl Versioned for axonic_region_options {
    const INIT: Self = axonic_region_options {
        size: size_of::<Self>(),
        bytes: 0,
        create: axonic_create::AXONIC_CREATE_OPEN_OR_CREATE as i32,
        reserved: 0,
    };
    const NAME: &'static str = "axonic_region_options";
}

fn options(given: &axonic_region_options) -> Outcome<RegionOptions> {
    use axonic_create::*;
    let choices = [
        (AXONIC_CREATE_OPEN_OR_CREATE as i32, Create::OpenOrCreate),
        (AXONIC_CREATE_NEW as i32, Create::CreateNew),
        (AXONIC_CREATE_OPEN as i32, Create::Open),
    ];
    Ok(RegionOptions {
        size: (given.bytes != 0).then_some(given.bytes),
        create: args::choice(given.create, &choices, "axonic_create")?,
    })
}

fn give(region: Region) -> *mut axonic_region {
    let name = args::c_string(region.name());
    handle::give::<axonic_region>(State { region, name })
}

/// Opens a region and creates it if the options allow. It stays until axonic_domain_unlink().
#[unsafe(no_mangle)]
pub unsafe extern "C" fn axonic_region_open(
    domain: *const axonic_domain,
    name: *const c_char,
    options: *const axonic_region_options,
    out: *mut *mut axonic_region,
) -> c_int {
    enter(|| {
        // SAFETY: the header's rules for handles, strings and pointers.
        let (out, domain, name, given) = unsafe {
            (Out::new(out)?, handle::get(domain)?, args::text(name, "name")?, args::versioned(options)?)
        };
        out.set(give(domain.domain.region(name, &self::options(&given)?)?));
        Ok(())
    })
}

/// Makes a nameless region with a copy of `data` that nobody can change or truncate any more, to be
/// handed to another process by its descriptor.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn axonic_region_seal(
    data: *const c_void,
    size: usize,
    out: *mut *mut axonic_region,
) -> c_int {
    enter(|| {
        // SAFETY: the header's rules for pointers.
        let (out, data) = unsafe { (Out::new(out)?, args::bytes(data, size)?) };
        out.set(give(Region::sealed(data)?));
        Ok(())
    })
}

/// Opens a sealed region by a descriptor that another process sent, after checking its seals. The
/// descriptor is duplicated: the caller keeps its own.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn axonic_region_from_fd(fd: c_int, out: *mut *mut axonic_region) -> c_int {
    enter(|| {
        // SAFETY: the header's rules for pointers.
        let out = unsafe { Out::new(out)? };
        if fd < 0 {
            return Err(Failure::argument(format!("{fd} is no descriptor")));
        }
        // SAFETY: not -1; if it is not open, duplicating it fails with EBADF and nothing else happens.
        let owned = unsafe { BorrowedFd::borrow_raw(fd) }
            .try_clone_to_owned()
            .map_err(|error| Failure::argument(format!("descriptor {fd} cannot be duplicated: {error}")))?;
        out.set(give(Region::from_fd(owned)?));
        Ok(())
    })
}

/// Unmaps it. Pointers into it are dead afterwards.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn axonic_region_close(region: *mut axonic_region) -> c_int {
    // SAFETY: the header's rules for handles.
    enter(|| unsafe { handle::close(region) })
}

/// Its name, "" when it is sealed. NULL on failure.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn axonic_region_name(region: *const axonic_region) -> *const c_char {
    // SAFETY: the header's rules for handles.
    enter_or(null(), || Ok(unsafe { handle::get(region)? }.name.as_ptr()))
}

/// Its memory, page-aligned, the same in every process that maps it. Not to be written to unless
/// axonic_region_is_writable(). Who writes when is up to its users. NULL on failure.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn axonic_region_data(region: *const axonic_region) -> *mut c_void {
    // SAFETY: the header's rules for handles.
    enter_or(null_mut(), || Ok(unsafe { handle::get(region)? }.region.as_ptr().cast()))
}

/// Bytes at axonic_region_data(). 0 on failure.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn axonic_region_size(region: *const axonic_region) -> usize {
    // SAFETY: the header's rules for handles.
    enter_or(0, || Ok(unsafe { handle::get(region)? }.region.len()))
}

/// Whether it may be written to: sealed regions may not.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn axonic_region_is_writable(region: *const axonic_region) -> bool {
    // SAFETY: the header's rules for handles.
    enter_or(false, || Ok(unsafe { handle::get(region)? }.region.writable()))
}

/// Whether this call of axonic_region_open() created it, so that exactly one process initialises it.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn axonic_region_is_created(region: *const axonic_region) -> bool {
    // SAFETY: the header's rules for handles.
    enter_or(false, || Ok(unsafe { handle::get(region)? }.region.is_created()))
}

/// Copies `size` bytes at `offset` out of it, checked against its size.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn axonic_region_read(
    region: *const axonic_region,
    offset: usize,
    size: usize,
    out: *mut c_void,
) -> c_int {
    enter(|| {
        // SAFETY: the header's rules for handles and pointers.
        let (state, into) = unsafe { (handle::get(region)?, args::bytes_mut(out, size)?) };
        Ok(state.region.read(offset, into)?)
    })
}

/// Copies `size` bytes into it at `offset`, checked against its size.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn axonic_region_write(
    region: *const axonic_region,
    offset: usize,
    data: *const c_void,
    size: usize,
) -> c_int {
    enter(|| {
        // SAFETY: the header's rules for handles and pointers.
        let (state, data) = unsafe { (handle::get(region)?, args::bytes(data, size)?) };
        Ok(state.region.write(offset, data)?)
    })
}

/// The descriptor of a sealed region, to be sent over a socket or inherited. Belongs to the region.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn axonic_region_fd(region: *const axonic_region, out: *mut c_int) -> c_int {
    enter(|| {
        // SAFETY: the header's rules for handles and pointers.
        let (out, state) = unsafe { (Out::new(out)?, handle::get(region)?) };
        let fd = state.region.fd().ok_or_else(|| {
            let message =
                format!("region {:?} has a name, not a descriptor; only sealed ones do", state.name);
            Failure::new(ErrorKind::Unsupported, message)
        })?;
        out.set(fd);
        Ok(())
    })
}
