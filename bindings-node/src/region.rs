//! Named raw shared memory.

use std::cell::RefCell;
use std::ffi::c_void;
use std::ptr::null_mut;
use std::sync::Arc;

use axonic::ErrorKind;
use napi::bindgen_prelude::*;
use napi_derive::napi;

use crate::error::{OrThrow, closed};
use crate::options;
use crate::poll::duplicate;

/// How to open a region.
#[napi(object)]
#[derive(Default)]
pub struct RegionSettings {
    /// Bytes; needed to create, checked otherwise.
    pub size: Option<f64>,
    /// `openOrCreate`, `createNew` or `open`.
    pub create: Option<String>,
}

impl RegionSettings {
    pub(crate) fn options(self) -> axonic::Result<axonic::RegionOptions> {
        let mut options = axonic::RegionOptions::default();
        options.size = self.size.map(|size| options::size("size", size)).transpose()?;
        if let Some(create) = self.create {
            options.create = options::create(&create)?;
        }
        Ok(options)
    }
}

/// The native region behind the facade's.
#[napi]
pub struct Region {
    name: String,
    region: RefCell<Option<Arc<axonic::Region>>>,
}

#[napi]
impl Region {
    pub(crate) fn new(region: axonic::Region) -> Region {
        Region { name: region.name().to_string(), region: RefCell::new(Some(Arc::new(region))) }
    }

    /// Nameless memory that nobody can change or resize any more; its descriptor can be handed to
    /// another process.
    #[napi(factory)]
    pub fn sealed(env: &Env, data: &[u8]) -> Result<Region> {
        Ok(Region::new(axonic::Region::sealed(data).or_throw(env)?))
    }

    /// The sealed region behind an inherited descriptor, which stays open and the caller's.
    #[napi(factory)]
    pub fn from_fd(env: &Env, fd: i32) -> Result<Region> {
        let region = duplicate(fd).and_then(axonic::Region::from_fd).or_throw(env)?;
        Ok(Region::new(region))
    }

    fn get(&self) -> axonic::Result<Arc<axonic::Region>> {
        self.region.borrow().clone().ok_or_else(|| closed("region", &self.name))
    }

    /// Its name; empty for a sealed region.
    #[napi]
    pub fn name(&self) -> String {
        self.name.clone()
    }

    /// Bytes.
    #[napi]
    pub fn size(&self, env: &Env) -> Result<f64> {
        Ok(self.get().or_throw(env)?.len() as f64)
    }

    /// Whether this call created it.
    #[napi]
    pub fn is_created(&self, env: &Env) -> Result<bool> {
        Ok(self.get().or_throw(env)?.is_created())
    }

    /// Whether it may be written.
    #[napi]
    pub fn writable(&self, env: &Env) -> Result<bool> {
        Ok(self.get().or_throw(env)?.writable())
    }

    /// The descriptor of a sealed region.
    #[napi]
    pub fn fd(&self, env: &Env) -> Result<i32> {
        let region = self.get().or_throw(env)?;
        match region.fd() {
            Some(fd) => Ok(fd),
            None => Err(axonic::Error::new(
                ErrorKind::Unsupported,
                format!(
                    "region '{}' is named: open it by its name; only sealed regions are passed by descriptor",
                    self.name
                ),
            ))
            .or_throw(env),
        }
    }

    /// The memory itself, as an `ArrayBuffer` that keeps it mapped.
    #[napi(ts_return_type = "ArrayBuffer")]
    pub fn memory<'env>(&self, env: &'env Env) -> Result<Unknown<'env>> {
        let region = self.get().or_throw(env)?;
        let refuse = |why: &str| {
            let text = format!("region '{}': {why}; use read() and write()", self.name);
            axonic::Error::new(ErrorKind::Unsupported, text)
        };
        if !region.writable() {
            // JavaScript has no read-only arrays: one stray store would kill the process.
            return Err(refuse("it is read-only and a Buffer cannot be")).or_throw(env);
        }
        let (data, length) = (region.as_ptr(), region.len());
        let hint = Arc::into_raw(region);
        let mut value = null_mut();
        // SAFETY: the mapping lives until `release` drops the reference taken here, which is when
        // the engine has freed the last buffer over it.
        let status = unsafe {
            sys::napi_create_external_arraybuffer(
                env.raw(),
                data.cast(),
                length,
                Some(release),
                hint.cast_mut().cast(),
                &mut value,
            )
        };
        if status != sys::Status::napi_ok {
            // SAFETY: the engine took nothing; the reference is still ours.
            drop(unsafe { Arc::from_raw(hint) });
        }
        if status == sys::Status::napi_no_external_buffers_allowed {
            return Err(refuse("this engine refuses buffers over foreign memory")).or_throw(env);
        }
        check_status!(status)?;
        // SAFETY: a fresh value of this scope.
        unsafe { Unknown::from_napi_value(env.raw(), value) }
    }

    /// Copies from `offset` into `target`.
    #[napi]
    pub fn read(&self, env: &Env, offset: f64, mut target: Uint8Array) -> Result<()> {
        let region = self.get().or_throw(env)?;
        // SAFETY: nothing else looks at the caller's array during this call.
        let target = unsafe { target.as_mut() };
        options::size("offset", offset).and_then(|offset| region.read(offset, target)).or_throw(env)
    }

    /// Copies `source` to `offset`.
    #[napi]
    pub fn write(&self, env: &Env, offset: f64, source: &[u8]) -> Result<()> {
        let region = self.get().or_throw(env)?;
        options::size("offset", offset).and_then(|offset| region.write(offset, source)).or_throw(env)
    }

    /// Lets go of it; a second time does nothing. Buffers over it stay valid.
    #[napi]
    pub fn close(&self) {
        drop(self.region.borrow_mut().take());
    }
}

unsafe extern "C" fn release(_: sys::napi_env, _: *mut c_void, hint: *mut c_void) {
    // SAFETY: the reference given away in `memory`, finalized once.
    drop(unsafe { Arc::from_raw(hint.cast::<axonic::Region>()) });
}
