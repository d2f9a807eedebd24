//! The domain: where nouns of one name meet.

use crate::args::{self, Out, Versioned};
use crate::error::{Failure, Outcome, enter, enter_or};
use crate::handle::{self, Noun};
use axonic::{Domain, DomainOptions};
use std::ffi::{CString, c_char, c_int};
use std::ptr::null;

/// A domain this process attached to: one participant, shared by every handle opened from it.
pub struct axonic_domain(());

pub(crate) struct State {
    pub(crate) domain: Domain,
    name: CString,
    path: CString,
}

impl Noun for axonic_domain {
    const NAME: &'static str = "axonic_domain";
    type State = State;
}

/// Start with AXONIC_DOMAIN_OPTIONS_INIT. NULL or 0 means the default except where said.
#[repr(C)]
#[derive(Clone, Copy)]
pub struct axonic_domain_options {
    /// sizeof(axonic_domain_options)
    pub size: usize,
    /// Default: AXONIC_RUNTIME_DIR, else a private directory of this user on /dev/shm.
    pub runtime_dir: *const c_char,
    /// What `axonic ls` shows for this participant; default: the name of the program.
    pub label: *const c_char,
    /// Group id of a domain shared between users; -1: none.
    pub group: i64,
    /// Permissions of the files: 0600 (the default), 0660 or 0666.
    pub mode: u32,
    /// Participants a domain that is created has room for.
    pub max_participants: u32,
    /// Bytes all objects of a domain that is created may take together; 0: no limit.
    pub quota: u64,
    /// Bytes each participant's objects may take in a domain that is created; 0: no limit.
    pub participant_quota: u64,
    /// Where what must survive a reboot is kept; default: AXONIC_DATA_DIR, else axonic in XDG_STATE_HOME, which
    /// is ~/.local/state unless set.
    pub data_dir: *const c_char,
}

// SAFETY: `repr(C)`, the size first, numbers and pointers only.
unsafe impl Versioned for axonic_domain_options {
    const INIT: Self = axonic_domain_options {
        size: size_of::<Self>(),
        runtime_dir: null(),
        label: null(),
        group: -1,
        mode: 0,
        max_participants: 0,
        quota: 0,
        participant_quota: 0,
        data_dir: null(),
    };
    const NAME: &'static str = "axonic_domain_options";
}

/// Who a participant is, as `axonic ls` shows it: "slot.epoch".
#[repr(C)]
#[derive(Clone, Copy)]
pub struct axonic_participant {
    pub slot: u32,
    pub epoch: u32,
}

/// What axonic_domain_unlink() removes.
#[repr(C)]
#[derive(Clone, Copy)]
pub enum axonic_noun {
    AXONIC_NOUN_TOPIC = 1,
    AXONIC_NOUN_REGION = 2,
    AXONIC_NOUN_RING = 3,
    AXONIC_NOUN_QUEUE = 4,
    /// A lock of any type.
    AXONIC_NOUN_LOCK = 5,
}

/// How a handle waits, in option structs.
#[repr(C)]
#[derive(Clone, Copy)]
pub enum axonic_wait {
    /// Spin briefly, then sleep.
    AXONIC_WAIT_ADAPTIVE = 0,
    /// Never sleep: the lowest latency for a whole core.
    AXONIC_WAIT_SPIN = 1,
    /// Sleep at once.
    AXONIC_WAIT_BLOCK = 2,
}

pub(crate) fn wait(given: i32) -> Outcome<axonic::Wait> {
    use axonic_wait::*;
    let choices = [
        (AXONIC_WAIT_ADAPTIVE as i32, axonic::Wait::Adaptive),
        (AXONIC_WAIT_SPIN as i32, axonic::Wait::Spin),
        (AXONIC_WAIT_BLOCK as i32, axonic::Wait::Block),
    ];
    args::choice(given, &choices, "axonic_wait")
}

/// Attaches to a domain and creates it if needed. `name` NULL or "": AXONIC_DOMAIN from the
/// environment, else "default". `options` NULL: the defaults.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn axonic_domain_open(
    name: *const c_char,
    options: *const axonic_domain_options,
    out: *mut *mut axonic_domain,
) -> c_int {
    enter(|| {
        // SAFETY: the header's rules for pointers.
        let (out, given, name) = unsafe {
            (Out::new(out)?, args::versioned(options)?, args::optional_text(name, "name of the domain")?)
        };
        // SAFETY: as above.
        let (runtime_dir, data_dir, label) = unsafe {
            (
                args::optional_text(given.runtime_dir, "runtime directory")?,
                args::optional_text(given.data_dir, "data directory")?,
                args::optional_text(given.label, "label")?,
            )
        };
        let domain = Domain::open_with(DomainOptions {
            name: name.map(str::to_owned),
            runtime_dir: runtime_dir.map(Into::into),
            data_dir: data_dir.map(Into::into),
            mode: (given.mode != 0).then_some(given.mode),
            group: group(given.group)?,
            max_participants: (given.max_participants != 0).then_some(given.max_participants),
            quota: (given.quota != 0).then_some(given.quota),
            participant_quota: (given.participant_quota != 0).then_some(given.participant_quota),
            label: label.map(str::to_owned),
        })?;
        let name = args::c_string(domain.name());
        let path = args::c_string(&domain.path().to_string_lossy());
        out.set(handle::give::<axonic_domain>(State { domain, name, path }));
        Ok(())
    })
}

fn group(given: i64) -> Outcome<Option<u32>> {
    match given {
        -1 => Ok(None),
        id => u32::try_from(id).map(Some).map_err(|_| Failure::argument(format!("{id} is no group id"))),
    }
}

/// Leaves the domain. Handles opened from it answer AXONIC_ERROR_CLOSED from now on; they are still
/// to be closed, before or after.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn axonic_domain_close(domain: *mut axonic_domain) -> c_int {
    enter(|| {
        if !domain.is_null() {
            // SAFETY: the header's rules for handles.
            unsafe { handle::take(domain)? }.domain.close();
        }
        Ok(())
    })
}

/// Its name. NULL on failure.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn axonic_domain_name(domain: *const axonic_domain) -> *const c_char {
    // SAFETY: the header's rules for handles.
    enter_or(null(), || Ok(unsafe { handle::get(domain)? }.name.as_ptr()))
}

/// Its folder in the runtime directory. NULL on failure.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn axonic_domain_path(domain: *const axonic_domain) -> *const c_char {
    // SAFETY: the header's rules for handles.
    enter_or(null(), || Ok(unsafe { handle::get(domain)? }.path.as_ptr()))
}

/// Who this process is in the domain. A child of fork() becomes another one at its first use.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn axonic_domain_participant(
    domain: *const axonic_domain,
    out: *mut axonic_participant,
) -> c_int {
    enter(|| {
        // SAFETY: the header's rules for handles and pointers.
        let (out, state) = unsafe { (Out::new(out)?, handle::get(domain)?) };
        let id = state.domain.participant();
        out.set(axonic_participant { slot: id.slot, epoch: id.epoch });
        Ok(())
    })
}

/// Removes a region, a lock, a queue with all that is in it, or what a topic or ring left behind; `noun` is
/// an axonic_noun. AXONIC_ERROR_BUSY while somebody alive holds a topic, ring, queue or lock of that name.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn axonic_domain_unlink(
    domain: *const axonic_domain,
    noun: i32,
    name: *const c_char,
) -> c_int {
    enter(|| {
        use axonic_noun::*;
        let choices = [
            (AXONIC_NOUN_TOPIC as i32, axonic::Noun::Topic),
            (AXONIC_NOUN_REGION as i32, axonic::Noun::Region),
            (AXONIC_NOUN_RING as i32, axonic::Noun::Ring),
            (AXONIC_NOUN_QUEUE as i32, axonic::Noun::Queue),
            (AXONIC_NOUN_LOCK as i32, axonic::Noun::Lock),
        ];
        let noun = args::choice(noun, &choices, "axonic_noun")?;
        // SAFETY: the header's rules for handles and strings.
        let (state, name) = unsafe { (handle::get(domain)?, args::text(name, "name")?) };
        Ok(state.domain.unlink(noun, name)?)
    })
}
