//! Native functions bound to one object, for the calls that run millions of times a second.
//!
//! A generated class method costs about 230 ns per call here (unwrapping `this`, borrow scopes,
//! argument validation); a function created with its object as data costs 10 to 25 ns. Only the
//! calls of the message path use it; everything else is a generated method. The facade checks the
//! arguments before it calls.

use std::ffi::{CStr, c_void};
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::ptr::null_mut;
use std::rc::Rc;

use axonic::{Error, ErrorKind};
use napi::bindgen_prelude::{Env, FromNapiValue, Result, Unknown, check_status, sys};

use crate::error::throw;

/// Most arguments a bound function takes.
const MAX_ARGUMENTS: usize = 2;

/// One call: its environment and arguments.
pub struct Call {
    env: sys::napi_env,
    arguments: [sys::napi_value; MAX_ARGUMENTS],
}

impl Call {
    /// An integer argument; 0 when it is something else.
    pub fn int(&self, index: usize) -> i32 {
        let mut value = 0;
        // SAFETY: a value of this call; on a wrong type nothing is written.
        unsafe { sys::napi_get_value_int32(self.env, self.arguments[index], &mut value) };
        value
    }

    /// A number argument; 0 when it is something else.
    pub fn number(&self, index: usize) -> f64 {
        let mut value = 0.0;
        // SAFETY: as in `int`.
        unsafe { sys::napi_get_value_double(self.env, self.arguments[index], &mut value) };
        value
    }

    /// The bytes of a typed array. The facade has checked with `ArrayBuffer.isView`.
    pub fn bytes(&self, index: usize) -> &[u8] {
        let (data, length) = self.view(index);
        // SAFETY: V8 keeps the view's memory in place for the length of this call, in which no
        // JavaScript runs.
        if length == 0 { &[] } else { unsafe { std::slice::from_raw_parts(data, length) } }
    }

    /// The bytes of a typed array, to be written.
    #[allow(clippy::mut_from_ref)] // the memory is JavaScript's, not this struct's
    pub fn bytes_mut(&self, index: usize) -> &mut [u8] {
        let (data, length) = self.view(index);
        // SAFETY: as in `bytes`; each bound function asks for one view only.
        if length == 0 { &mut [] } else { unsafe { std::slice::from_raw_parts_mut(data, length) } }
    }

    fn view(&self, index: usize) -> (*mut u8, usize) {
        let (mut data, mut length) = (null_mut::<c_void>(), 0);
        // SAFETY: a value of this call, checked to be a view by the facade.
        unsafe { sys::napi_get_buffer_info(self.env, self.arguments[index], &mut data, &mut length) };
        if data.is_null() { (null_mut(), 0) } else { (data.cast(), length) }
    }
}

/// What a bound function answers.
pub enum Answer {
    /// `undefined`.
    Nothing,
    /// `false`: it would have had to wait.
    No,
    /// A count, or -1.
    Int(i64),
}

impl Answer {
    fn value(self, env: sys::napi_env) -> sys::napi_value {
        let mut value = null_mut();
        // SAFETY: inside a native call of `env`; a failure leaves null, which is `undefined`.
        unsafe {
            match self {
                Answer::Nothing => 0,
                Answer::No => sys::napi_get_boolean(env, false, &mut value),
                Answer::Int(number) => match i32::try_from(number) {
                    Ok(number) => sys::napi_create_int32(env, number, &mut value),
                    Err(_) => sys::napi_create_int64(env, number, &mut value),
                },
            };
        }
        value
    }
}

type Body<T> = fn(&T, &Call) -> axonic::Result<Answer>;

struct Bound<T> {
    target: Rc<T>,
    body: Body<T>,
}

/// A JavaScript function that calls `body` on `target` and keeps it alive.
pub fn bind<'env, T: 'static>(
    env: &'env Env,
    name: &CStr,
    target: &Rc<T>,
    body: Body<T>,
) -> Result<Unknown<'env>> {
    let bound = Box::into_raw(Box::new(Bound { target: target.clone(), body }));
    let mut function = null_mut();
    // SAFETY: the data outlives the function: its finalizer runs after the function is collected.
    unsafe {
        let created = sys::napi_create_function(
            env.raw(),
            name.as_ptr(),
            name.count_bytes() as isize,
            Some(enter::<T>),
            bound.cast(),
            &mut function,
        );
        if created != sys::Status::napi_ok {
            drop(Box::from_raw(bound));
            check_status!(created)?;
        }
        check_status!(sys::napi_add_finalizer(
            env.raw(),
            function,
            bound.cast(),
            Some(release::<T>),
            null_mut(),
            null_mut(),
        ))?;
        Unknown::from_napi_value(env.raw(), function)
    }
}

unsafe extern "C" fn enter<T>(env: sys::napi_env, info: sys::napi_callback_info) -> sys::napi_value {
    let mut count = MAX_ARGUMENTS;
    let mut call = Call { env, arguments: [null_mut(); MAX_ARGUMENTS] };
    let mut data = null_mut();
    // SAFETY: the array has room for `count` values; missing ones become `undefined`. The data is
    // the `Bound<T>` given to `napi_create_function` with this very instance of `enter`.
    let bound = unsafe {
        let arguments = call.arguments.as_mut_ptr();
        sys::napi_get_cb_info(env, info, &mut count, arguments, null_mut(), &mut data);
        &*data.cast::<Bound<T>>()
    };
    // A panic must not cross into C; the cells of the target release their borrows on unwinding.
    match catch_unwind(AssertUnwindSafe(|| (bound.body)(&bound.target, &call))) {
        Ok(Ok(answer)) => answer.value(env),
        Ok(Err(error)) => {
            throw(env, &error);
            null_mut()
        }
        Err(_) => {
            throw(env, &Error::new(ErrorKind::Corrupt, "axonic: internal error, please report it"));
            null_mut()
        }
    }
}

unsafe extern "C" fn release<T>(_: sys::napi_env, data: *mut c_void, _: *mut c_void) {
    // SAFETY: the box made in `bind`, finalized once.
    drop(unsafe { Box::from_raw(data.cast::<Bound<T>>()) });
}
