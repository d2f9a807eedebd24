//! Core errors as JavaScript exceptions.
//!
//! The facade registers its `AxonicError` class once per environment; every failing call then
//! throws an instance with the stable `code` and `kind` from the core's table.

use std::cell::RefCell;
use std::collections::HashMap;
use std::ptr::null_mut;

use axonic::{Code, ErrorKind, Thrown};
use napi::bindgen_prelude::*;
use napi_derive::napi;

thread_local! {
    /// The error class of each environment on this thread. The references are never deleted: they
    /// live as long as their environment.
    static CLASSES: RefCell<HashMap<usize, sys::napi_ref>> = RefCell::default();
}

/// One row of the core's error table.
#[napi(object, object_from_js = false)]
pub struct ErrorRow {
    /// The stable number.
    pub number: i32,
    /// The kind's name, such as `Timeout`.
    pub name: String,
    /// `err.code`, such as `AXONIC_TIMEOUT`.
    pub code: String,
}

/// Every error kind, in the order of its number.
#[napi]
pub fn error_table() -> Vec<ErrorRow> {
    let row = |kind: &ErrorKind| ErrorRow {
        number: kind.number(),
        name: kind.name().into(),
        code: kind.node_code().into(),
    };
    ErrorKind::ALL.iter().map(row).collect()
}

/// The class to throw: `new Class(kindName, message, { accepted, status })`.
#[napi]
pub fn set_error_class(
    env: &Env,
    #[napi(
        ts_arg_type = "new (kind: string, message: string, options: { accepted: number, status?: StatusParts }) => Error"
    )]
    constructor: Function<'_, (), ()>,
) -> Result<()> {
    let mut reference = null_mut();
    // SAFETY: both belong to the environment of this call.
    check_status!(unsafe { sys::napi_create_reference(env.raw(), constructor.raw(), 1, &mut reference) })?;
    CLASSES.with_borrow_mut(|classes| classes.insert(env.raw() as usize, reference));
    Ok(())
}

/// Throws `error` into `env`; the calling native function must then return without a value.
pub fn throw(env: sys::napi_env, error: &axonic::Error) {
    let class = CLASSES.with_borrow(|classes| classes.get(&(env as usize)).copied()).unwrap_or(null_mut());
    let text = error.to_string();
    let name = error.kind().name();
    // SAFETY: on the thread of `env`, inside a native call, so a handle scope is open. When a step
    // fails the environment is ending and nobody could receive the exception.
    unsafe {
        let (mut function, mut instance) = (null_mut(), null_mut());
        let mut arguments = [null_mut(), null_mut(), null_mut()];
        let mut accepted = null_mut();
        if class.is_null() {
            return plain(env, error);
        }
        sys::napi_get_reference_value(env, class, &mut function);
        sys::napi_create_string_utf8(env, name.as_ptr().cast(), name.len() as isize, &mut arguments[0]);
        sys::napi_create_string_utf8(env, text.as_ptr().cast(), text.len() as isize, &mut arguments[1]);
        sys::napi_create_double(env, error.accepted() as f64, &mut accepted);
        sys::napi_create_object(env, &mut arguments[2]);
        sys::napi_set_named_property(env, arguments[2], c"accepted".as_ptr(), accepted);
        if let Some(status) = error.status()
            && let Ok(status) = ToNapiValue::to_napi_value(env, StatusParts::from(status))
        {
            sys::napi_set_named_property(env, arguments[2], c"status".as_ptr(), status);
        }
        if sys::napi_new_instance(env, function, 3, arguments.as_ptr(), &mut instance) == sys::Status::napi_ok
        {
            sys::napi_throw(env, instance);
        }
    }
}

/// Without a registered class (the binary was loaded without the facade): a plain `Error`.
unsafe fn plain(env: sys::napi_env, error: &axonic::Error) {
    let error = Error::new(error.kind().node_code().to_string(), error.to_string());
    // SAFETY: the caller holds an open scope of `env`.
    unsafe { JsError::from(error).throw_into(env) };
}

/// Why a call failed.
#[napi(object)]
pub struct StatusParts {
    /// The code's name, gRPC's.
    pub code: String,
    /// A word that stays the same while texts change; may be empty.
    pub reason: String,
    /// A sentence for a person.
    pub message: String,
    /// The same call may succeed later.
    pub retryable: bool,
    /// What else there is to say, as JSON.
    pub details: String,
    /// Who failed; empty for whoever answers.
    pub origin: String,
}

impl From<&axonic::Status> for StatusParts {
    fn from(status: &axonic::Status) -> StatusParts {
        StatusParts {
            code: status.code.name().into(),
            reason: status.reason.clone(),
            message: status.message.clone(),
            retryable: status.retryable,
            details: status.details.to_string(),
            origin: status.origin.clone(),
        }
    }
}

impl StatusParts {
    /// In the core's terms.
    pub fn status(self) -> axonic::Result<axonic::Status> {
        let code = Code::from_name(&self.code).ok_or_else(|| {
            let names: Vec<&str> = Code::all().map(Code::name).collect();
            invalid(format!("code is '{}'; it must be one of {}", self.code, names.join(", ")))
        })?;
        let details = serde_json::from_str(&self.details)
            .map_err(|error| invalid(format!("details are no JSON: {error}")))?;
        Ok(axonic::Status {
            code,
            reason: self.reason,
            message: self.message,
            retryable: self.retryable,
            details,
            origin: self.origin,
        })
    }
}

/// What a handler threw.
#[napi(object)]
pub struct ThrownParts {
    /// Its class.
    pub class: String,
    /// Its text.
    pub text: String,
    /// The kind of error that it is, or means the same as.
    pub kind: Option<String>,
    /// What is told just so: of a call that failed, or what the handler says itself.
    pub status: Option<StatusParts>,
}

impl ThrownParts {
    /// What the caller is told.
    pub fn status(self) -> axonic::Result<axonic::Status> {
        let kind = ErrorKind::ALL.iter().find(|kind| Some(kind.name()) == self.kind.as_deref()).copied();
        let status = self.status.map(StatusParts::status).transpose()?;
        Ok(Thrown { class: &self.class, text: &self.text, kind, status: status.as_ref() }.into())
    }
}

/// The names of the codes of failed calls, in the order of their numbers.
#[napi]
pub fn call_codes() -> Vec<&'static str> {
    Code::all().map(Code::name).collect()
}

/// A core error that the facade throws, or rejects a promise with.
#[napi(object, object_from_js = false)]
pub struct Failure {
    /// The kind's name.
    pub kind: String,
    /// What happened.
    pub message: String,
}

impl From<axonic::Error> for Failure {
    fn from(error: axonic::Error) -> Failure {
        Failure { kind: error.kind().name().into(), message: error.to_string() }
    }
}

/// A core result as a napi result: throws the error now and tells the generated code that an
/// exception is pending.
pub trait OrThrow<T> {
    /// See the trait.
    fn or_throw(self, env: &Env) -> Result<T>;
}

impl<T> OrThrow<T> for axonic::Result<T> {
    fn or_throw(self, env: &Env) -> Result<T> {
        self.map_err(|error| {
            throw(env.raw(), &error);
            Error::new(Status::PendingException, String::new())
        })
    }
}

/// The answer of every call on a closed handle.
pub fn closed(noun: &str, name: &str) -> axonic::Error {
    axonic::Error::new(ErrorKind::Closed, format!("{noun} '{name}' is closed; open it again to use it"))
}

/// An argument that the facade or its caller got wrong.
pub fn invalid(message: impl Into<String>) -> axonic::Error {
    axonic::Error::new(ErrorKind::InvalidArgument, message)
}
