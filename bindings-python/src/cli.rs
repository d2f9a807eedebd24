//! The `axonic` command, shipped inside the wheel.

use std::ffi::OsString;

use pyo3::prelude::*;

/// Runs the command line tool with `args` (the program name first) and returns its exit status. `again` is how
/// the tool is started anew in a process of its own, up to its arguments; `bench` does that.
#[pyfunction]
#[pyo3(signature = (args, again, /))]
pub fn run_cli(py: Python<'_>, args: Vec<OsString>, again: Vec<OsString>) -> i32 {
    py.detach(|| axonic_cli::run_again(args, &again))
}
