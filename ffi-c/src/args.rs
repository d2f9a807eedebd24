//! Arguments as C passes them, checked before anything else happens.

use crate::error::{Failure, Outcome};
use axonic::{ErrorKind, Schema};
use std::borrow::Cow;
use std::ffi::{CStr, CString, c_char, c_void};
use std::mem::size_of;
use std::time::Duration;

/// A place for a result, known not to be NULL. Written last, so only on success.
pub(crate) struct Out<T>(*mut T);

impl<T> Out<T> {
    /// # Safety
    /// `place` is NULL or may be written until `set`.
    pub(crate) unsafe fn new(place: *mut T) -> Outcome<Out<T>> {
        match place.is_null() {
            true => Err(Failure::argument("the place for the result is NULL")),
            false => Ok(Out(place)),
        }
    }

    /// A place for what not everybody wants to know.
    ///
    /// # Safety
    /// As `new`.
    pub(crate) unsafe fn optional(place: *mut T) -> Option<Out<T>> {
        (!place.is_null()).then_some(Out(place))
    }

    pub(crate) fn set(self, value: T) {
        // SAFETY: whoever made it was promised a writable place; `write` reads nothing that might be uninitialised.
        unsafe { self.0.write(value) }
    }
}

/// Bytes to read; NULL only with size 0.
///
/// # Safety
/// `data` is NULL or `size` readable bytes for `'a`.
pub(crate) unsafe fn bytes<'a>(data: *const c_void, size: usize) -> Outcome<&'a [u8]> {
    // SAFETY: passed on.
    unsafe { items(data.cast(), size, "data") }
}

/// Bytes to write; NULL only with size 0.
///
/// # Safety
/// `data` is NULL or `size` writable bytes for `'a` that nobody else uses.
pub(crate) unsafe fn bytes_mut<'a>(data: *mut c_void, size: usize) -> Outcome<&'a mut [u8]> {
    if size == 0 {
        return Ok(&mut []);
    }
    if data.is_null() || size > isize::MAX as usize {
        return Err(Failure::argument(format!("data is NULL or too large (size {size})")));
    }
    // SAFETY: not NULL, of a size memory can have, and the caller's for `'a`.
    Ok(unsafe { std::slice::from_raw_parts_mut(data.cast(), size) })
}

/// An array; NULL only with count 0.
///
/// # Safety
/// `first` is NULL or `count` readable items for `'a`.
pub(crate) unsafe fn items<'a, T>(first: *const T, count: usize, what: &str) -> Outcome<&'a [T]> {
    if count == 0 {
        return Ok(&[]);
    }
    if first.is_null() {
        return Err(Failure::argument(format!("{what} is NULL with a count of {count}")));
    }
    if !first.is_aligned() || count > isize::MAX as usize / size_of::<T>().max(1) {
        return Err(Failure::argument(format!("{what} is misaligned or too large (count {count})")));
    }
    // SAFETY: not NULL, aligned, of a size memory can have, and the caller's for `'a`.
    Ok(unsafe { std::slice::from_raw_parts(first, count) })
}

/// A NUL-terminated UTF-8 string.
///
/// # Safety
/// `text` is NULL or a NUL-terminated string for `'a`.
pub(crate) unsafe fn text<'a>(text: *const c_char, what: &str) -> Outcome<&'a str> {
    if text.is_null() {
        return Err(Failure::argument(format!("the {what} is NULL")));
    }
    // SAFETY: a NUL-terminated string by the caller's promise.
    let text = unsafe { CStr::from_ptr(text) };
    text.to_str()
        .map_err(|_| Failure::new(ErrorKind::InvalidName, format!("the {what} {text:?} is not UTF-8")))
}

/// As `text`, of which bytes that are no UTF-8 are replaced: what others' exceptions say.
///
/// # Safety
/// As `text`.
pub(crate) unsafe fn any_text<'a>(text: *const c_char, what: &str) -> Outcome<Cow<'a, str>> {
    if text.is_null() {
        return Err(Failure::argument(format!("the {what} is NULL")));
    }
    // SAFETY: a NUL-terminated string by the caller's promise.
    Ok(unsafe { CStr::from_ptr(text) }.to_string_lossy())
}

/// As `text`; NULL and "" both mean that it was not given.
///
/// # Safety
/// As `text`.
pub(crate) unsafe fn optional_text<'a>(text: *const c_char, what: &str) -> Outcome<Option<&'a str>> {
    if text.is_null() {
        return Ok(None);
    }
    // SAFETY: passed on.
    let text = unsafe { self::text(text, what)? };
    Ok((!text.is_empty()).then_some(text))
}

/// A JSON Schema from its text; NULL and "" both mean that there is none.
///
/// # Safety
/// As `text`.
pub(crate) unsafe fn schema(text: *const c_char) -> Outcome<Option<Schema>> {
    // SAFETY: passed on.
    let text = unsafe { optional_text(text, "schema")? };
    Ok(text.map(Schema::new).transpose()?)
}

/// A string for C to keep. Names hold no NUL, so nothing is cut in practice.
pub(crate) fn c_string(text: &str) -> CString {
    let end = text.find('\0').unwrap_or(text.len());
    CString::new(&text[..end]).unwrap_or_default()
}

/// As much of a text as there is room for, and its end.
pub(crate) fn chars<const N: usize>(text: &str) -> [c_char; N] {
    let ends = text.char_indices().map(|(at, character)| at + character.len_utf8());
    let text = c_string(&text[..ends.take_while(|end| *end < N).last().unwrap_or(0)]);
    let bytes = text.as_bytes_with_nul();
    std::array::from_fn(|at| bytes.get(at).map_or(0, |byte| c_char::from_ne_bytes([*byte])))
}

/// Nanoseconds as the header counts them.
#[derive(Clone, Copy, PartialEq, Debug)]
pub(crate) enum Timeout {
    /// 0: no waiting; WouldBlock when there is nothing.
    Try,
    /// Positive: at most that long. `None`, negative: for ever.
    Wait(Option<Duration>),
}

pub(crate) fn timeout(nanoseconds: i64) -> Timeout {
    match nanoseconds {
        0 => Timeout::Try,
        1.. => Timeout::Wait(Some(Duration::from_nanos(nanoseconds.unsigned_abs()))),
        _ => Timeout::Wait(None),
    }
}

/// A time that is no timeout, and cannot be negative.
pub(crate) fn duration(nanoseconds: i64, what: &str) -> Outcome<Duration> {
    match u64::try_from(nanoseconds) {
        Ok(nanoseconds) => Ok(Duration::from_nanos(nanoseconds)),
        Err(_) => Err(Failure::argument(format!("a {what} of {nanoseconds} nanoseconds is negative"))),
    }
}

/// As `duration`; 0 means that there is none.
pub(crate) fn optional_duration(nanoseconds: i64, what: &str) -> Outcome<Option<Duration>> {
    Ok((nanoseconds != 0).then_some(duration(nanoseconds, what)?))
}

/// For calls of the core that take 0 as a deadline like any other: here it means to try, and that
/// it would have had to wait is told apart from time that passed.
pub(crate) fn within<T>(
    nanoseconds: i64,
    call: impl FnOnce(Option<Duration>) -> axonic::Result<T>,
) -> Outcome<T> {
    let limit = match timeout(nanoseconds) {
        Timeout::Try => Some(Duration::ZERO),
        Timeout::Wait(limit) => limit,
    };
    call(limit).map_err(|error| match (nanoseconds, error.kind()) {
        (0, ErrorKind::Timeout) => Failure::new(ErrorKind::WouldBlock, error.to_string()),
        _ => error.into(),
    })
}

/// A struct that begins with its own size, so that it can grow without breaking callers.
///
/// # Safety
/// `repr(C)`, the first field is `size: usize`, and every byte pattern the header allows is valid.
pub(crate) unsafe trait Versioned: Copy {
    /// What the `_INIT` macro of the header says.
    const INIT: Self;
    const NAME: &'static str;
}

/// Sizes beyond this are uninitialised memory, not a struct of a later version.
const LARGEST: usize = 4096;

/// Reads such a struct: an older, shorter one is completed with the defaults; a newer, longer one
/// is accepted when what this version does not know is zero. NULL is `INIT`.
///
/// # Safety
/// `given` is NULL or points at as many readable bytes as its first word says.
pub(crate) unsafe fn versioned<T: Versioned>(given: *const T) -> Outcome<T> {
    if given.is_null() {
        return Ok(T::INIT);
    }
    if !given.is_aligned() {
        return Err(Failure::argument(format!("the {} is misaligned", T::NAME)));
    }
    // SAFETY: aligned, and its first word is readable by the caller's promise.
    let size = unsafe { given.cast::<usize>().read() };
    if size < size_of::<usize>() || size > LARGEST {
        return Err(Failure::argument(format!(
            "the {name} says its size is {size}; begin with `{name} x = {macro_name}_INIT;`",
            name = T::NAME,
            macro_name = T::NAME.to_uppercase()
        )));
    }
    let known = size.min(size_of::<T>());
    // SAFETY: the caller promised `size` readable bytes, and `known` is not more.
    let rest = unsafe { std::slice::from_raw_parts(given.cast::<u8>().add(known), size - known) };
    if rest.iter().any(|&byte| byte != 0) {
        return Err(Failure::new(
            ErrorKind::Unsupported,
            format!(
                "the {} uses fields that version {} of the library does not have",
                T::NAME,
                env!("CARGO_PKG_VERSION")
            ),
        ));
    }
    let mut read = T::INIT;
    // SAFETY: both are at least `known` bytes; the trait promises that the mixture is a valid value.
    unsafe { std::ptr::copy_nonoverlapping(given.cast::<u8>(), (&raw mut read).cast(), known) };
    Ok(read)
}

/// 0 in an option means the default.
pub(crate) fn or_default<T: PartialEq + Default>(given: T, default: T) -> T {
    if given == T::default() { default } else { given }
}

/// A number that should be one of an enum's.
pub(crate) fn choice<T: Copy>(given: i32, choices: &[(i32, T)], what: &str) -> Outcome<T> {
    choices
        .iter()
        .find(|(number, _)| *number == given)
        .map(|(_, value)| *value)
        .ok_or_else(|| Failure::argument(format!("{given} is no {what}")))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[repr(C)]
    #[derive(Clone, Copy, PartialEq, Debug)]
    struct Options {
        size: usize,
        first: i64,
        second: i64,
    }
    // SAFETY: plain numbers, the size first.
    unsafe impl Versioned for Options {
        const INIT: Options = Options { size: 24, first: -1, second: -1 };
        const NAME: &'static str = "axonic_test_options";
    }

    fn read(words: &[i64]) -> Outcome<Options> {
        // SAFETY: every test gives as many words as the first one says.
        unsafe { versioned(words.as_ptr().cast()) }
    }

    #[test]
    fn an_older_struct_is_completed_and_a_newer_one_checked() {
        // SAFETY: NULL is allowed.
        assert_eq!(unsafe { versioned(std::ptr::null::<Options>()) }.unwrap(), Options::INIT);
        assert_eq!(read(&[16, 7]).unwrap().first, 7);
        assert_eq!(read(&[16, 7]).unwrap().second, -1);
        assert_eq!(read(&[24, 7, 8]).unwrap().second, 8);
        assert_eq!(read(&[32, 7, 8, 0]).unwrap().second, 8);
        assert_eq!(read(&[32, 7, 8, 1]).unwrap_err().kind(), ErrorKind::Unsupported);
    }

    #[test]
    fn a_struct_without_a_size_is_refused() {
        for size in [0, 7, 4097, -1] {
            let failure = read(&[size, 0, 0]).unwrap_err();
            assert_eq!(failure.kind(), ErrorKind::InvalidArgument);
            assert!(failure.to_string().contains("AXONIC_TEST_OPTIONS_INIT"), "{failure}");
        }
    }

    #[test]
    fn timeouts_are_nanoseconds() {
        assert_eq!(timeout(0), Timeout::Try);
        assert_eq!(timeout(5), Timeout::Wait(Some(Duration::from_nanos(5))));
        assert_eq!(timeout(-1), Timeout::Wait(None));
        assert_eq!(timeout(i64::MIN), Timeout::Wait(None));
        assert_eq!(duration(0, "delay").unwrap(), Duration::ZERO);
        assert_eq!(optional_duration(0, "lease").unwrap(), None);
        assert_eq!(optional_duration(5, "lease").unwrap(), Some(Duration::from_nanos(5)));
        let failure = optional_duration(-1, "lease").unwrap_err();
        assert_eq!(failure.kind(), ErrorKind::InvalidArgument);
        assert!(failure.to_string().contains("lease of -1"), "{failure}");
    }

    #[test]
    fn a_try_that_found_nothing_would_block() {
        let late = |_| Err::<(), _>(axonic::Error::new(ErrorKind::Timeout, "too late"));
        assert_eq!(within(0, late).unwrap_err().kind(), ErrorKind::WouldBlock);
        assert_eq!(within(1, late).unwrap_err().kind(), ErrorKind::Timeout);
        assert_eq!(within(0, Ok).unwrap(), Some(Duration::ZERO));
        assert_eq!(within(-1, Ok).unwrap(), None);
    }

    #[test]
    fn null_is_refused_unless_it_is_empty() {
        // SAFETY: NULL is allowed everywhere here.
        unsafe {
            assert!(bytes(std::ptr::null(), 0).unwrap().is_empty());
            assert!(bytes_mut(std::ptr::null_mut(), 0).unwrap().is_empty());
            assert_eq!(bytes(std::ptr::null(), 1).unwrap_err().kind(), ErrorKind::InvalidArgument);
            assert_eq!(bytes_mut(std::ptr::null_mut(), 1).unwrap_err().kind(), ErrorKind::InvalidArgument);
            assert_eq!(text(std::ptr::null(), "name").unwrap_err().kind(), ErrorKind::InvalidArgument);
            assert_eq!(optional_text(std::ptr::null(), "name").unwrap(), None);
            assert_eq!(optional_text(c"".as_ptr(), "name").unwrap(), None);
            assert!(schema(std::ptr::null()).unwrap().is_none() && schema(c"".as_ptr()).unwrap().is_none());
            assert_eq!(text(c"\xff".as_ptr(), "name").unwrap_err().kind(), ErrorKind::InvalidName);
        }
    }
}
