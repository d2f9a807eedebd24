//! Services: whoever answers calls.

use std::sync::{Arc, Mutex, Weak};
use std::time::Duration;

use axonic::{Request, Service, ServiceOptions, Wait};
use pyo3::gc::{PyTraverseError, PyVisit};
use pyo3::prelude::*;
use pyo3::types::PyDict;

use crate::context::PyContext;
use crate::domain::{Held, Home, leave};
use crate::error::OrRaise;
use crate::gate::{ATTACHED, limit};
use crate::log::{deliver, detached};
use crate::message::lock;
use crate::rpc::is_not_yet;
use crate::shared::Shared;

/// Provides a service: functions that other programs call. Made by `Domain.service`.
///
/// `@service.method` adds a function under its name, `serve()` answers calls with them until close(). A forked child provides
/// the service too, from its first use on. It does not pickle: functions do not travel.
#[pyclass(frozen, weakref, name = "Service", module = "axonic")]
pub struct PyService {
    shared: Arc<Shared<Service>>,
    options: ServiceOptions,
    home: Arc<Home>,
    methods: Mutex<Option<Py<PyDict>>>,
}

impl PyService {
    pub fn open(
        py: Python<'_>,
        name: &str,
        version: &str,
        options: ServiceOptions,
        home: &Arc<Home>,
    ) -> PyResult<PyService> {
        let core = detached(py, || home.core.service(name, version, &options)).or_raise(py)?;
        let shared = Shared::new(format!("service '{name}'"), core, Service::close);
        let held: Weak<dyn Held> = Arc::<Shared<Service>>::downgrade(&shared);
        home.hold(held);
        let methods = Mutex::new(Some(PyDict::new(py).unbind()));
        Ok(PyService { shared, options, home: home.clone(), methods })
    }

    /// The next call if it comes before letting go of the interpreter would pay.
    fn next_soon(&self, py: Python<'_>, timeout: Option<Duration>) -> PyResult<Option<Request>> {
        if self.options.channel.wait == Wait::Block || timeout.is_some_and(|timeout| timeout < ATTACHED) {
            return Ok(None);
        }
        let next = self.shared.core().next(Some(ATTACHED));
        deliver(py);
        match next {
            Err(error) if is_not_yet(&error) => Ok(None),
            next => next.map(Some).or_raise(py),
        }
    }
}

#[pymethods]
impl PyService {
    /// Its name.
    #[getter]
    fn name(&self) -> &str {
        self.shared.core().name()
    }

    /// Its version.
    #[getter]
    fn version(&self) -> String {
        self.shared.core().version()
    }

    /// How many calls may be at work at the same time.
    #[getter]
    fn concurrency(&self) -> usize {
        self.options.concurrency
    }

    /// Calls that are at work.
    #[getter]
    fn at_work(&self) -> usize {
        self.shared.core().at_work()
    }

    /// Whether it was closed.
    #[getter]
    fn closed(&self) -> bool {
        self.shared.is_closed() || self.home.core.is_closed()
    }

    /// The functions it has, by name.
    #[getter]
    fn _methods(&self, py: Python<'_>) -> Py<PyDict> {
        let mut methods = lock(&self.methods);
        methods.get_or_insert_with(|| PyDict::new(py).unbind()).clone_ref(py)
    }

    /// Adds a function as the method of its name; `@service.method`. Returns it.
    fn method<'py>(slf: &Bound<'py, Self>, function: Bound<'py, PyAny>) -> PyResult<Bound<'py, PyAny>> {
        slf.py().import("axonic._service")?.call_method1("add", (slf, &function))?;
        Ok(function)
    }

    /// Answers calls until close(), in this thread and `threads - 1` others. Ctrl-C ends it too, and so does, of one that
    /// listens at a pipe, the end of what comes through it.
    #[pyo3(signature = (threads = 1))]
    fn serve(slf: &Bound<'_, Self>, threads: usize) -> PyResult<()> {
        slf.py().import("axonic._service")?.call_method1("serve", (slf, threads)).map(drop)
    }

    /// Has it called at an address too, such as "unix:///run/search.sock", by clients of other domains or machines. Returns the
    /// address, with what the system chose.
    fn listen(&self, py: Python<'_>, address: &str) -> PyResult<String> {
        self.shared.wait(py, |core| core.listen(address))
    }

    /// The next call, waiting for it up to `timeout` seconds.
    #[pyo3(signature = (timeout = None))]
    fn _next(&self, py: Python<'_>, timeout: Option<f64>) -> PyResult<Py<PyContext>> {
        let timeout = limit(py, timeout)?;
        self.shared.check_loop(py)?;
        let request = match self.next_soon(py, timeout)? {
            Some(request) => request,
            None => self.shared.wait(py, |core| core.next(timeout))?,
        };
        PyContext::make(py, request, &self.shared)
    }

    /// The next call if one is there, else None.
    fn _try_next(&self, py: Python<'_>) -> PyResult<Option<Py<PyContext>>> {
        let request = self.shared.call(py, Service::try_next)?;
        request.map(|request| PyContext::make(py, request, &self.shared)).transpose()
    }

    /// Calls at work that nobody waits for any more, since the last time, by their ids.
    fn _take_given_up(&self) -> Vec<u64> {
        self.shared.core().take_given_up()
    }

    /// The same of those whose streams may go on.
    fn _take_news(&self) -> Vec<u64> {
        self.shared.core().take_news()
    }

    /// For `axonic.aio`: an event loop works with it from now on.
    fn _give_to_loop(&self) {
        self.shared.give_to_loop();
    }

    /// The pollable descriptor: readable while a call may be there that nobody has taken.
    fn fileno(&self, py: Python<'_>) -> PyResult<i32> {
        self.shared.call(py, Service::fd)
    }

    /// Ends it: calls that are not answered fail with UNAVAILABLE, serve() returns. Closing again does nothing.
    fn close(&self, py: Python<'_>) {
        self.shared.close(py);
    }

    fn __enter__(slf: Py<Self>) -> Py<Self> {
        slf
    }

    #[pyo3(signature = (exc_type, exc_value, traceback, /))]
    fn __exit__(
        &self,
        py: Python<'_>,
        exc_type: &Bound<'_, PyAny>,
        exc_value: &Bound<'_, PyAny>,
        traceback: &Bound<'_, PyAny>,
    ) -> PyResult<()> {
        let _ = (exc_value, traceback);
        self.close(py);
        leave(exc_type, Ok(()))
    }

    fn __repr__(&self) -> String {
        let closed = if self.closed() { ", closed" } else { "" };
        format!(
            "<axonic.Service {:?} {} in {:?}, {} calls at work{closed}>",
            self.name(),
            self.version(),
            self.home.core.name(),
            self.at_work()
        )
    }

    fn __traverse__(&self, visit: PyVisit<'_>) -> Result<(), PyTraverseError> {
        // Its functions may know it. What is skipped while a thread is inside is only kept longer.
        let Ok(methods) = self.methods.try_lock() else { return Ok(()) };
        if let Some(methods) = &*methods {
            visit.call(methods)?;
        }
        Ok(())
    }

    fn __clear__(&self) {
        let methods = lock(&self.methods).take();
        drop(methods);
    }
}
