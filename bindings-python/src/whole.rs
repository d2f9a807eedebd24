//! Arguments that are whole numbers.
//!
//! Of a number that does not fit the core's type, PyO3 says only that it is out of range. Here it is said which argument
//! that was, and what it may be. A number that fits is the core's to judge.

use pyo3::exceptions::PyOverflowError;
use pyo3::prelude::*;

use crate::error::invalid;

/// Reads an argument.
fn read<'a, 'py, T: FromPyObject<'a, 'py>>(
    given: &'a Bound<'py, PyAny>,
    argument: &str,
    allowed: &str,
) -> PyResult<T> {
    let py = given.py();
    given.extract::<T>().map_err(|error| match error.into() {
        error if error.is_instance_of::<PyOverflowError>(py) => {
            invalid(py, format!("{argument}={given}: give {allowed}"))
        }
        error => error,
    })
}

macro_rules! arguments {
    ($($function:ident, $argument:literal, $allowed:literal;)*) => {
        $(
            pub fn $function<'a, 'py, T: FromPyObject<'a, 'py>>(given: &'a Bound<'py, PyAny>) -> PyResult<T> {
                read(given, $argument, $allowed)
            }
        )*
    };
}

arguments! {
    capacity, "capacity", "a whole number from 1 up, less than 2**64";
    concurrency, "concurrency", "a whole number from 1 up, less than 2**64";
    count, "count", "a whole number from 0 up, less than 2**64";
    dedup_count, "dedup count", "a whole number from 1 to 1048576";
    fd, "fd", "a descriptor's number, from 0 up";
    group, "group", "a group's number, from 0 up, less than 2**32";
    max, "max", "a whole number from 1 up, less than 2**64";
    max_attempts, "max_attempts", "a whole number from 1 to 65535, or 0 for no limit";
    max_borrowed, "max_borrowed", "a whole number from 1 up, less than 2**64";
    max_bytes, "max_bytes", "a whole number from 0 up, less than 2**64";
    max_message, "max_message", "a whole number from 1 to 1073741824";
    max_participants, "max_participants", "a whole number from 1 up, less than 2**32";
    mode, "mode", "permissions such as 0o660";
    n, "n", "a whole number from 0 up, less than 2**64";
    nbytes, "nbytes", "a whole number from 0 up, less than 2**64";
    offset, "offset", "a whole number from 0 up, less than 2**64";
    participant_quota, "participant_quota", "a whole number from 0 up, less than 2**64";
    parties, "parties", "a whole number from 2 to 64";
    permits, "permits", "a whole number from 1 to 1024";
    priority, "priority", "a whole number from 0 to 7";
    queue_capacity, "capacity", "a whole number from 1 to 16777216";
    quota, "quota", "a whole number from 0 up, less than 2**64";
    shape, "shape", "whole numbers from 0 up, less than 2**64";
    size, "size", "a whole number from 0 up, less than 2**64";
}
