//! Waiting for the disk in an event loop: a thread of the core's syncs, and rings a descriptor that the loop listens to.
//!
//! That thread never enters the interpreter, which may be busy, or ending.

use std::io::{self, Read, Write};
use std::os::fd::AsRawFd;
use std::os::unix::net::UnixStream;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, OnceLock};

use axonic::{Error, ErrorKind};
use pyo3::prelude::*;

use crate::error::{OrRaise, raise};
use crate::sides::Sides;

/// What the thread rings.
struct Bell {
    rung: AtomicBool,
    stream: UnixStream,
}

impl Bell {
    /// Once, until the loop has heard it.
    fn ring(&self) {
        if !self.rung.swap(true, Ordering::AcqRel) {
            let _ = (&self.stream).write(&[1]);
        }
    }
}

/// Where the tasks of one event loop wait for the disk. For axonic.aio.
#[pyclass(frozen, name = "_Disk", module = "axonic")]
pub struct PyDisk {
    sides: Arc<Sides>,
    bell: Arc<Bell>,
    ear: UnixStream,
}

impl PyDisk {
    pub fn new(py: Python<'_>, sides: &Arc<Sides>) -> PyResult<PyDisk> {
        let (stream, ear) = pair().map_err(|error| {
            let text = format!("{}: no descriptor to wait for the disk: {error}", sides.what);
            raise(py, Error::new(ErrorKind::LimitReached, text))
        })?;
        let bell = Arc::new(Bell { rung: AtomicBool::new(false), stream });
        Ok(PyDisk { sides: sides.clone(), bell, ear })
    }
}

fn pair() -> io::Result<(UnixStream, UnixStream)> {
    let (one, other) = UnixStream::pair()?;
    one.set_nonblocking(true)?;
    other.set_nonblocking(true)?;
    Ok((one, other))
}

#[pymethods]
impl PyDisk {
    /// The descriptor: readable when something was answered, until hear().
    fn fileno(&self) -> i32 {
        self.ear.as_raw_fd()
    }

    /// Makes the descriptor silent; what is answered is to be looked at after that.
    fn hear(&self) {
        let _ = (&self.ear).read(&mut [0; 16]);
        self.bell.rung.swap(false, Ordering::AcqRel);
    }

    /// Asks for all that was put and settled before to be on the disk; never waits.
    fn ask(&self, py: Python<'_>) -> PyResult<PySync> {
        let answer = Arc::new(OnceLock::new());
        let (told, bell) = (answer.clone(), self.bell.clone());
        let hear = move |done: axonic::Result<()>| {
            let _ = told.set(done);
            bell.ring();
        };
        self.sides.writer(py)?.sync_then(hear).or_raise(py)?;
        Ok(PySync(answer))
    }
}

/// What was asked for once.
#[pyclass(frozen, name = "_Sync", module = "axonic")]
pub struct PySync(Arc<OnceLock<axonic::Result<()>>>);

#[pymethods]
impl PySync {
    /// True: it is on the disk; None: not yet. Raises why it will not be.
    fn answer(&self, py: Python<'_>) -> PyResult<Option<bool>> {
        match self.0.get() {
            None => Ok(None),
            Some(Ok(())) => Ok(Some(true)),
            Some(Err(error)) => Err(raise(py, Error::new(error.kind(), error.to_string()))),
        }
    }
}
