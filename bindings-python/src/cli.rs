//! The `axonic` command, shipped inside the wheel.

use std::ffi::OsString;

use pyo3::prelude::*;

/// Runs the command line tool with `args` (the program name first) and returns its exit status.
#[pyfunction]
#[pyo3(signature = (args, /))]
pub fn run_cli(py: Python<'_>, args: Vec<OsString>) -> i32 {
    py.detach(|| axonic_cli::run(args))
}
