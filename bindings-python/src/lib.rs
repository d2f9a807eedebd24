//! `axonic._native`: the Python skin over the core, one file per noun.
//!
//! The package `axonic` re-exports these classes; what is written in Python there is only what Python
//! says better (asyncio, dataclasses, JSON).

mod asked;
mod buffer;
mod call;
mod channel;
mod cli;
mod client;
mod context;
mod desk;
mod disk;
mod dlpack;
mod domain;
mod error;
mod gate;
mod job;
mod loan;
mod lock;
mod log;
mod look;
mod meaning;
mod message;
mod publisher;
mod queue;
mod region;
mod ring;
mod rpc;
mod service;
mod shared;
mod sides;
mod subscriber;
mod ticket;
mod value;
mod views;
mod wait;
mod whole;
mod window;

use pyo3::prelude::*;
use pyo3::types::PyDict;

/// Called in the child of every `os.fork()`.
#[pyfunction]
fn forked() {
    gate::forked();
}

// Handles have locks of their own (`gate`), and classes are frozen: free-threaded interpreters need no global one.
#[pymodule(gil_used = false)]
fn _native(module: &Bound<'_, PyModule>) -> PyResult<()> {
    let py = module.py();
    error::register(module)?;
    log::register(py)?;
    asked::register();
    module.add("__version__", env!("CARGO_PKG_VERSION"))?;
    module.add_class::<domain::PyDomain>()?;
    module.add_class::<publisher::PyPublisher>()?;
    module.add_class::<publisher::PublisherStats>()?;
    module.add_class::<loan::PyLoan>()?;
    module.add_class::<subscriber::PySubscriber>()?;
    module.add_class::<subscriber::SubscriberStats>()?;
    module.add_class::<ring::RingStats>()?;
    module.add_class::<message::PyMessage>()?;
    module.add_class::<message::PySample>()?;
    module.add_class::<region::PyRegion>()?;
    module.add_class::<ring::PyRingProducer>()?;
    module.add_class::<ring::PyRingConsumer>()?;
    module.add_class::<ring::PyReservation>()?;
    module.add_class::<ring::PyRingMessage>()?;
    module.add_class::<queue::PyQueue>()?;
    module.add_class::<look::PyPeeked>()?;
    module.add_class::<look::PyQueueStats>()?;
    module.add_class::<job::PyJob>()?;
    module.add("Reject", py.get_type::<job::Reject>())?;
    module.add_class::<ticket::PyTicket>()?;
    module.add_class::<disk::PyDisk>()?;
    module.add_class::<disk::PySync>()?;
    module.add_class::<lock::PyLockHolder>()?;
    module.add_class::<lock::PyMutex>()?;
    module.add_class::<lock::PyRwLock>()?;
    module.add_class::<lock::PyHeld>()?;
    module.add_class::<lock::PySemaphore>()?;
    module.add_class::<lock::PyEvent>()?;
    module.add_class::<lock::PyBarrier>()?;
    module.add_class::<lock::PyCondvar>()?;
    module.add_class::<asked::Attempt>()?;
    module.add_class::<channel::PyChannel>()?;
    module.add_class::<channel::PyChildPipe>()?;
    module.add_class::<channel::PyListener>()?;
    module.add_class::<channel::PyChannelMessage>()?;
    module.add_class::<channel::ChannelStats>()?;
    module.add_class::<channel::PyCan>()?;
    module.add_class::<channel::PyPeer>()?;
    module.add_class::<service::PyService>()?;
    module.add_class::<context::PyContext>()?;
    module.add_class::<client::PyClient>()?;
    module.add_class::<client::PyMethod>()?;
    module.add_class::<call::PyCall>()?;
    module.add_class::<wait::PyWaitSet>()?;
    module.add_function(wrap_pyfunction!(cli::run_cli, module)?)?;
    module.add_function(wrap_pyfunction!(gate::_span, module)?)?;
    module.add_function(wrap_pyfunction!(rpc::traced, module)?)?;
    // The package decides what is public.
    module.delattr("__all__")?;
    let hooks = PyDict::new(py);
    hooks.set_item("after_in_child", wrap_pyfunction!(forked, module)?)?;
    py.import("os")?.call_method("register_at_fork", (), Some(&hooks))?;
    Ok(())
}
