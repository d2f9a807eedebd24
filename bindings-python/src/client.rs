//! Clients: whoever calls a service.

use std::sync::{Arc, Weak};

use axonic::{Body, Call, CallOptions, Client, ClientOptions, Payload, Wait};
use pyo3::exceptions::PyAttributeError;
use pyo3::prelude::*;
use pyo3::types::{PyBytes, PyDict, PyString, PyTuple};

use crate::call::PyCall;
use crate::domain::{Held, Home, leave, wait_name};
use crate::error::OrRaise;
use crate::gate::{ATTACHED, QUICK, limit};
use crate::log::deliver;
use crate::rpc::{carry, decoded, is_not_yet};
use crate::shared::Shared;
use crate::value::{self, Manner, Outgoing};

/// Calls a service, at any of its providers: `client.query(text="x", timeout=5)`. Made by `Domain.client`.
///
/// Any name that it does not have itself is a method of the service. May be shared by threads; a forked child connects anew
/// at its first use.
#[pyclass(frozen, weakref, name = "Client", module = "axonic")]
pub struct PyClient {
    shared: Arc<Shared<Client>>,
    options: ClientOptions,
    home: Arc<Home>,
}

impl PyClient {
    pub fn open(
        py: Python<'_>,
        service: &str,
        range: &str,
        options: ClientOptions,
        home: &Arc<Home>,
    ) -> PyResult<PyClient> {
        let core = home.core.client(service, range, &options).or_raise(py)?;
        let shared = Shared::new(format!("client of '{service}'"), core, Client::close);
        let held: Weak<dyn Held> = Arc::<Shared<Client>>::downgrade(&shared);
        home.hold(held);
        Ok(PyClient { shared, options, home: home.clone() })
    }

    /// Reads the arguments of a call. None: it has none.
    fn encode<'py>(&self, py: Python<'py>, params: Option<&Bound<'py, PyAny>>) -> PyResult<Outgoing<'py>> {
        let manner =
            Manner { what: self.shared.what(), verb: "call", kind: None, content: None, attributes: None };
        let mut outgoing = match params {
            Some(params) => value::encode(params, manner)?,
            None => value::encode(PyDict::new(py).as_any(), manner)?,
        };
        carry(py, &mut outgoing)?;
        Ok(outgoing)
    }

    fn begin(
        &self,
        py: Python<'_>,
        method: &str,
        payload: Payload<'_>,
        options: &CallOptions,
    ) -> PyResult<Call> {
        self.shared.check_loop(py)?;
        if payload.data.len() <= QUICK {
            let started = self.shared.core().try_start(method, payload, options);
            deliver(py);
            if let Some(call) = started.or_raise(py)? {
                return Ok(call);
            }
        }
        self.shared.wait(py, |core| core.start(method, payload, options))
    }

    fn finish(&self, py: Python<'_>, mut call: Call) -> PyResult<Body> {
        if self.options.channel.wait != Wait::Block {
            // It may come before letting go of the interpreter would pay.
            let result = call.result(Some(ATTACHED));
            deliver(py);
            match result {
                Err(error) if is_not_yet(&error) => {}
                result => return result.or_raise(py),
            }
        }
        self.shared.wait(py, |_| call.result(None))
    }

    fn call_now<'py>(
        &self,
        py: Python<'py>,
        method: &str,
        params: Option<&Bound<'py, PyAny>>,
        timeout: Option<f64>,
    ) -> PyResult<Bound<'py, PyAny>> {
        let options = CallOptions { timeout: limit(py, timeout)?, ..CallOptions::default() };
        let outgoing = self.encode(py, params)?;
        let call = self.begin(py, method, outgoing.payload(), &options)?;
        decoded(py, &self.finish(py, call)?)
    }
}

#[pymethods]
impl PyClient {
    /// The service's name.
    #[getter]
    fn service(&self) -> &str {
        self.shared.core().service()
    }

    /// The versions it can do with.
    #[getter]
    fn range(&self) -> String {
        self.shared.core().range()
    }

    /// Where the service is; None: at whoever provides it in the domain.
    #[getter]
    fn address(&self) -> Option<&str> {
        self.options.address.as_deref()
    }

    /// Whether it was closed.
    #[getter]
    fn closed(&self) -> bool {
        self.shared.is_closed() || self.home.core.is_closed()
    }

    /// Calls a method by name and waits up to `timeout` seconds for its result. `params` is a mapping of its arguments, or
    /// one value: bytes travel as they are. `input` is an iterator whose items are streamed to it.
    #[pyo3(signature = (method, params = None, *, input = None, timeout = None))]
    fn call<'py>(
        slf: &Bound<'py, Self>,
        method: &str,
        params: Option<&Bound<'py, PyAny>>,
        input: Option<&Bound<'py, PyAny>>,
        timeout: Option<f64>,
    ) -> PyResult<Bound<'py, PyAny>> {
        let py = slf.py();
        match input {
            None => slf.get().call_now(py, method, params, timeout),
            Some(input) => {
                py.import("axonic._client")?.call_method1("call_with", (slf, method, params, input, timeout))
            }
        }
    }

    /// The same for a method that streams: iterate what is returned.
    #[pyo3(signature = (method, params = None, *, input = None, timeout = None))]
    fn stream<'py>(
        slf: &Bound<'py, Self>,
        method: &str,
        params: Option<&Bound<'py, PyAny>>,
        input: Option<&Bound<'py, PyAny>>,
        timeout: Option<f64>,
    ) -> PyResult<Bound<'py, PyAny>> {
        let py = slf.py();
        match input {
            None => {
                let call = slf.get()._start(py, method, params, timeout, false, true)?;
                Ok(Bound::new(py, call)?.into_any())
            }
            Some(input) => py
                .import("axonic._client")?
                .call_method1("stream_with", (slf, method, params, input, timeout)),
        }
    }

    /// Sends a call on its way and returns it: its result() waits. Many may be under way at a time.
    #[pyo3(signature = (method, params = None, *, timeout = None))]
    fn start(
        &self,
        py: Python<'_>,
        method: &str,
        params: Option<&Bound<'_, PyAny>>,
        timeout: Option<f64>,
    ) -> PyResult<PyCall> {
        self._start(py, method, params, timeout, false, false)
    }

    #[pyo3(signature = (method, params, timeout, input, stream))]
    fn _start(
        &self,
        py: Python<'_>,
        method: &str,
        params: Option<&Bound<'_, PyAny>>,
        timeout: Option<f64>,
        input: bool,
        stream: bool,
    ) -> PyResult<PyCall> {
        let options = CallOptions { timeout: limit(py, timeout)?, input, stream };
        let outgoing = self.encode(py, params)?;
        let call = self.begin(py, method, outgoing.payload(), &options)?;
        Ok(PyCall::new(call, &self.shared))
    }

    /// The same without waiting; None: it would have to wait to be connected.
    #[pyo3(signature = (method, params, timeout, input, stream))]
    fn _try_start(
        &self,
        py: Python<'_>,
        method: &str,
        params: Option<&Bound<'_, PyAny>>,
        timeout: Option<f64>,
        input: bool,
        stream: bool,
    ) -> PyResult<Option<PyCall>> {
        let options = CallOptions { timeout: limit(py, timeout)?, input, stream };
        let outgoing = self.encode(py, params)?;
        let call = self.shared.call(py, |core| core.try_start(method, outgoing.payload(), &options))?;
        Ok(call.map(|call| PyCall::new(call, &self.shared)))
    }

    /// Connects to whoever provides it, and has its descriptor tell of them.
    fn _connect(&self, py: Python<'_>) -> PyResult<()> {
        self.shared.wait(py, |core| core.connect(None).and_then(|()| core.fd().map(drop)))
    }

    /// Whether to connect and try once more, after so many providers that went; raises UnavailableError.
    fn _may_try_again(&self, py: Python<'_>, gone: usize) -> PyResult<()> {
        self.shared.core().may_try_again(gone).or_raise(py)
    }

    /// For `axonic.aio`: an event loop works with it from now on.
    fn _give_to_loop(&self) {
        self.shared.give_to_loop();
    }

    /// Calls under way that something came for since the last time, by their ids.
    fn _take_news(&self, py: Python<'_>) -> PyResult<Vec<u64>> {
        self.shared.call(py, Client::take_news)
    }

    /// The pollable descriptor of all its connections.
    fn fileno(&self, py: Python<'_>) -> PyResult<i32> {
        self.shared.wait(py, Client::fd)
    }

    /// Ends it, and gives up the calls that are under way. Closing again does nothing.
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

    fn __getattr__(slf: &Bound<'_, Self>, name: &Bound<'_, PyString>) -> PyResult<PyMethod> {
        if name.to_str()?.starts_with('_') {
            let text =
                format!("'Client' object has no attribute '{name}'; client.call({name:?}) calls a method");
            return Err(PyAttributeError::new_err(text));
        }
        Ok(PyMethod { client: slf.clone().unbind(), name: name.clone().unbind() })
    }

    fn __repr__(&self) -> String {
        let closed = if self.closed() { ", closed" } else { "" };
        let place = match &self.options.address {
            Some(address) => format!("at {address:?}"),
            None => format!("in {:?}", self.home.core.name()),
        };
        format!("<axonic.Client of {:?} {} {place}{closed}>", self.service(), self.range())
    }

    fn __reduce__<'py>(&self, py: Python<'py>) -> PyResult<Bound<'py, PyTuple>> {
        let options = PyDict::new(py);
        options.set_item("range", self.range())?;
        options.set_item("address", self.options.address.as_deref())?;
        options.set_item("max_message", self.options.channel.max_message)?;
        options.set_item("wait", wait_name(self.options.channel.wait))?;
        self.home.reduce(py, "client", self.service(), &options)
    }
}

/// A method of a service, to be called. Made by `client.<name>`.
#[pyclass(frozen, name = "Method", module = "axonic")]
pub struct PyMethod {
    client: Py<PyClient>,
    name: Py<PyString>,
}

impl PyMethod {
    /// Has Python read the arguments, and make a call of that kind.
    fn make<'py>(
        &self,
        args: &Bound<'py, PyTuple>,
        timeout: Option<f64>,
        params: Option<&Bound<'py, PyDict>>,
        kind: &str,
    ) -> PyResult<Bound<'py, PyAny>> {
        let py = args.py();
        let made = (self.client.bind(py), self.name.bind(py), args, params, timeout, kind);
        py.import("axonic._client")?.call_method1("make", made)
    }
}

#[pymethods]
impl PyMethod {
    /// Its name.
    #[getter]
    fn name(&self, py: Python<'_>) -> Py<PyString> {
        self.name.clone_ref(py)
    }

    /// Calls it and waits up to `timeout` seconds for its result. Keyword arguments travel by name; one positional argument
    /// travels by itself, bytes as they are; an iterator among them is streamed.
    #[pyo3(signature = (*args, timeout = None, **params))]
    fn __call__<'py>(
        &self,
        args: &Bound<'py, PyTuple>,
        timeout: Option<f64>,
        params: Option<&Bound<'py, PyDict>>,
    ) -> PyResult<Bound<'py, PyAny>> {
        let py = args.py();
        if args.len() == 1 && params.is_none() {
            let only = args.get_item(0)?;
            if only.is_instance_of::<PyBytes>() {
                return self.client.get().call_now(py, self.name.to_str(py)?, Some(&only), timeout);
            }
        }
        self.make(args, timeout, params, "call")
    }

    /// The same for a method that streams: iterate what is returned.
    #[pyo3(signature = (*args, timeout = None, **params))]
    fn stream<'py>(
        &self,
        args: &Bound<'py, PyTuple>,
        timeout: Option<f64>,
        params: Option<&Bound<'py, PyDict>>,
    ) -> PyResult<Bound<'py, PyAny>> {
        self.make(args, timeout, params, "stream")
    }

    /// Sends a call on its way and returns it: its result() waits.
    #[pyo3(signature = (*args, timeout = None, **params))]
    fn start<'py>(
        &self,
        args: &Bound<'py, PyTuple>,
        timeout: Option<f64>,
        params: Option<&Bound<'py, PyDict>>,
    ) -> PyResult<Bound<'py, PyAny>> {
        self.make(args, timeout, params, "start")
    }

    fn __repr__(&self, py: Python<'_>) -> PyResult<String> {
        let client = self.client.get();
        Ok(format!("<axonic.Method {:?} of service {:?}>", self.name.to_str(py)?, client.service()))
    }
}
