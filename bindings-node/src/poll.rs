//! Waiting on a descriptor in Node's own event loop.
//!
//! A wait takes no thread: the descriptor of a handle is watched by libuv (`uv_poll_t`) in the
//! loop of the environment (main thread or Worker) that opened it. libuv's functions are exported
//! by the `node` binary itself, and the few used here have had the same signature since Node 0.12.
//!
//! Lifetime: the libuv handle must outlive `uv_close` until its close callback, and a Worker
//! aborts when its loop still has open handles at the end. So the watch lives in an `Rc` that is
//! owned twice, by the JavaScript object and by libuv, and an asynchronous cleanup hook closes it
//! when the environment ends first.

use std::alloc::{Layout, alloc_zeroed, dealloc, handle_alloc_error};
use std::cell::Cell;
use std::ffi::{c_char, c_int, c_void};
use std::os::fd::{AsRawFd, BorrowedFd, OwnedFd};
use std::ptr::null_mut;
use std::rc::Rc;

use napi::bindgen_prelude::*;
use napi_derive::napi;

use crate::call::{Answer, Call, bind};
use crate::error::{OrThrow, invalid};

/// `uv_poll_t` and `uv_loop_t`: their layout is libuv's business.
#[repr(C)]
struct UvPoll([u8; 0]);
type UvLoop = sys::uv_loop_s;
type PollCallback = unsafe extern "C" fn(*mut UvPoll, c_int, c_int);
type CloseCallback = unsafe extern "C" fn(*mut UvPoll);

/// `UV_POLL` of `uv_handle_type`.
const UV_POLL: c_int = 8;
const UV_READABLE: c_int = 1;
/// Linux's numbers, the same on every architecture this builds for.
const EBADF: c_int = 9;
const ENFILE: c_int = 23;
const EMFILE: c_int = 24;
/// libuv asks for the alignment of its largest member, a pointer; `malloc` would give 16.
const ALIGN: usize = 16;

unsafe extern "C" {
    fn uv_handle_size(kind: c_int) -> usize;
    fn uv_handle_set_data(handle: *mut UvPoll, data: *mut c_void);
    fn uv_handle_get_data(handle: *const UvPoll) -> *mut c_void;
    fn uv_poll_init(looping: *mut UvLoop, handle: *mut UvPoll, fd: c_int) -> c_int;
    fn uv_poll_start(handle: *mut UvPoll, events: c_int, callback: PollCallback) -> c_int;
    fn uv_poll_stop(handle: *mut UvPoll) -> c_int;
    fn uv_close(handle: *mut UvPoll, callback: CloseCallback);
    fn uv_ref(handle: *mut UvPoll);
    fn uv_unref(handle: *mut UvPoll);
    fn uv_strerror(error: c_int) -> *const c_char;
}

/// Memory for one `uv_poll_t`.
struct HandleMemory(*mut UvPoll);

impl HandleMemory {
    fn layout() -> Layout {
        // SAFETY: a pure function of libuv.
        let size = unsafe { uv_handle_size(UV_POLL) };
        Layout::from_size_align(size.max(ALIGN), ALIGN).expect("libuv reports a sane handle size")
    }

    fn new() -> HandleMemory {
        let layout = Self::layout();
        // SAFETY: the layout's size is not zero.
        let memory = unsafe { alloc_zeroed(layout) };
        if memory.is_null() {
            handle_alloc_error(layout);
        }
        HandleMemory(memory.cast())
    }
}

impl Drop for HandleMemory {
    fn drop(&mut self) {
        // SAFETY: allocated in `new` with the same layout; libuv no longer knows the handle,
        // because it owned a reference to the `Watch` until its close callback.
        unsafe { dealloc(self.0.cast(), Self::layout()) };
    }
}

/// What the JavaScript object and libuv own together.
struct Watch {
    handle: HandleMemory,
    /// A duplicate, so that closing the watched object first cannot leave libuv with a number
    /// that already means another file. Given back when libuv has let go of it.
    fd: Cell<Option<OwnedFd>>,
    env: sys::napi_env,
    /// The JavaScript function to call; weak unless held.
    callback: Cell<sys::napi_ref>,
    hook: Cell<sys::napi_async_cleanup_hook_handle>,
    open: Cell<bool>,
    started: Cell<bool>,
    held: Cell<bool>,
}

impl Watch {
    fn hold(&self, hold: bool) {
        if !self.open.get() || self.held.replace(hold) == hold {
            return;
        }
        // SAFETY: open, so the handle is initialised and the reference exists; both calls are on
        // the thread of the environment.
        unsafe {
            if hold {
                uv_ref(self.handle.0);
                sys::napi_reference_ref(self.env, self.callback.get(), null_mut());
            } else {
                uv_unref(self.handle.0);
                sys::napi_reference_unref(self.env, self.callback.get(), null_mut());
            }
        }
    }

    fn stop(&self) {
        if self.open.get() && self.started.replace(false) {
            // SAFETY: open, so the handle is initialised.
            unsafe { uv_poll_stop(self.handle.0) };
        }
    }

    fn close(&self) {
        self.stop();
        if self.open.replace(false) {
            // SAFETY: the handle was open and is closed once; `on_close` gives back the
            // reference that libuv owns.
            unsafe { uv_close(self.handle.0, on_close) };
        }
    }

    /// Calls the JavaScript function; microtasks and `nextTick` run after it.
    fn call(&self) {
        // SAFETY: on the thread of a live environment (the hook closes the watch before it ends);
        // every value is used inside the scope opened here.
        unsafe {
            let mut scope = null_mut();
            if sys::napi_open_handle_scope(self.env, &mut scope) != sys::Status::napi_ok {
                return;
            }
            let (mut function, mut global, mut result) = (null_mut(), null_mut(), null_mut());
            sys::napi_get_reference_value(self.env, self.callback.get(), &mut function);
            if function.is_null() {
                // Collected: nobody can wait here any more.
                self.stop();
            } else if sys::napi_get_global(self.env, &mut global) == sys::Status::napi_ok {
                let status = sys::napi_make_callback(
                    self.env,
                    null_mut(),
                    global,
                    function,
                    0,
                    std::ptr::null(),
                    &mut result,
                );
                if status == sys::Status::napi_pending_exception {
                    let mut exception = null_mut();
                    sys::napi_get_and_clear_last_exception(self.env, &mut exception);
                    // The facade settles promises and never throws here; if it does, the process
                    // must hear of it as of any uncaught exception.
                    sys::napi_fatal_exception(self.env, exception);
                }
            }
            sys::napi_close_handle_scope(self.env, scope);
        }
    }
}

/// The watch behind a libuv handle, owned once more for the length of a callback.
///
/// # Safety
/// `handle` was initialised by [`Poll::new`] and its close callback has not returned.
unsafe fn watch_of(handle: *const UvPoll) -> Rc<Watch> {
    // SAFETY: the data is the pointer of an `Rc` that libuv owns until the close callback.
    unsafe {
        let watch = uv_handle_get_data(handle).cast::<Watch>();
        Rc::increment_strong_count(watch);
        Rc::from_raw(watch)
    }
}

unsafe extern "C" fn on_event(handle: *mut UvPoll, _status: c_int, _events: c_int) {
    // An error status (a descriptor that went bad) also wakes: the attempt that follows names it.
    // SAFETY: libuv passes the handle it was started with.
    unsafe { watch_of(handle) }.call();
}

unsafe extern "C" fn on_close(handle: *mut UvPoll) {
    // SAFETY: the reference given to libuv in `Poll::new`, taken back exactly once.
    let watch = unsafe { Rc::from_raw(uv_handle_get_data(handle).cast::<Watch>()) };
    watch.fd.take();
    // SAFETY: the environment still lives: it waits for its asynchronous hooks, and this is ours.
    unsafe {
        sys::napi_delete_reference(watch.env, watch.callback.replace(null_mut()));
        sys::napi_remove_async_cleanup_hook(watch.hook.replace(null_mut()));
    }
}

unsafe extern "C" fn on_environment_end(_: sys::napi_async_cleanup_hook_handle, data: *mut c_void) {
    // SAFETY: `data` is the watch; libuv owns it until `on_close`, which removes this hook.
    unsafe { &*data.cast::<Watch>() }.close();
}

/// Watches one descriptor for readability in the event loop.
///
/// Level-triggered: the callback comes again in every turn of the loop for as long as the
/// descriptor stays readable and the watch is started. It keeps the process alive only while held.
#[napi]
pub struct Poll {
    watch: Rc<Watch>,
}

#[napi]
impl Poll {
    /// Watches a duplicate of `fd`; nothing is called before `start`.
    #[napi(constructor)]
    pub fn new(env: &Env, fd: i32, callback: Function<'_, (), ()>) -> Result<Poll> {
        let fd = duplicate(fd).or_throw(env)?;
        let raw_fd = fd.as_raw_fd();
        let watch = Rc::new(Watch {
            handle: HandleMemory::new(),
            fd: Cell::new(Some(fd)),
            env: env.raw(),
            callback: Cell::new(null_mut()),
            hook: Cell::new(null_mut()),
            open: Cell::new(false),
            started: Cell::new(false),
            held: Cell::new(false),
        });
        let handle = watch.handle.0;
        // SAFETY: the loop is that of this environment, the handle is fresh zeroed memory of the
        // size libuv asked for, and the reference given away is taken back in `on_close`.
        unsafe {
            check_status!(sys::napi_create_reference(env.raw(), callback.raw(), 0, watch.callback.as_ptr()))?;
            let error = uv_poll_init(env.get_uv_event_loop()?, handle, raw_fd);
            if error != 0 {
                sys::napi_delete_reference(env.raw(), watch.callback.get());
                let reason = std::ffi::CStr::from_ptr(uv_strerror(error)).to_string_lossy();
                return Err(io(format!("descriptor {raw_fd} cannot be watched: {reason}"))).or_throw(env);
            }
            uv_handle_set_data(handle, Rc::into_raw(watch.clone()).cast_mut().cast());
            uv_unref(handle);
            watch.open.set(true);
            let status = sys::napi_add_async_cleanup_hook(
                env.raw(),
                Some(on_environment_end),
                Rc::as_ptr(&watch).cast_mut().cast(),
                watch.hook.as_ptr(),
            );
            let poll = Poll { watch };
            check_status!(status)?;
            Ok(poll)
        }
    }

    /// Starts the calls.
    #[napi]
    pub fn start(&self, env: &Env) -> Result<()> {
        if self.watch.open.get() && !self.watch.started.replace(true) {
            // SAFETY: open, so the handle is initialised.
            let error = unsafe { uv_poll_start(self.watch.handle.0, UV_READABLE, on_event) };
            if error != 0 {
                self.watch.started.set(false);
                // SAFETY: libuv answers a static string for every error number.
                let reason = unsafe { std::ffi::CStr::from_ptr(uv_strerror(error)) }.to_string_lossy();
                return Err(io(format!("the event loop refuses to watch: {reason}"))).or_throw(env);
            }
        }
        Ok(())
    }

    /// Stops the calls.
    #[napi]
    pub fn stop(&self) {
        self.watch.stop();
    }

    /// `(hold)`: while held, the process stays alive and the callback is not collected.
    #[napi(ts_return_type = "(hold: 0 | 1) => undefined")]
    pub fn bind_hold<'env>(&self, env: &'env Env) -> Result<Unknown<'env>> {
        bind(env, c"hold", &self.watch, |watch: &Watch, call: &Call| {
            watch.hold(call.int(0) != 0);
            Ok(Answer::Nothing)
        })
    }

    /// Stops for good.
    #[napi]
    pub fn close(&self) {
        self.watch.close();
    }
}

/// A duplicate of a descriptor that belongs to somebody else.
pub fn duplicate(fd: i32) -> axonic::Result<OwnedFd> {
    if fd < 0 {
        return Err(invalid(format!("{fd} is no descriptor")));
    }
    // SAFETY: not -1, and borrowed only to duplicate it; a number nobody has open is answered with
    // EBADF.
    unsafe { BorrowedFd::borrow_raw(fd) }.try_clone_to_owned().map_err(|error| match error.raw_os_error() {
        Some(EBADF) => invalid(format!("descriptor {fd} is not open")),
        Some(EMFILE | ENFILE) => axonic::Error::new(
            axonic::ErrorKind::LimitReached,
            format!("no descriptor is left to watch descriptor {fd}; close some or raise `ulimit -n`"),
        ),
        _ => io(format!("descriptor {fd} cannot be duplicated: {error}")),
    })
}

fn io(message: String) -> axonic::Error {
    axonic::Error::new(axonic::ErrorKind::Io, message)
}

impl Drop for Poll {
    fn drop(&mut self) {
        self.watch.close();
    }
}
