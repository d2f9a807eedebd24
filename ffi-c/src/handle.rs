//! What stands behind an opaque pointer: a box with a tag, so that the usual mistakes with handles
//! (NULL, closed twice, another noun's pointer) are answered with an error instead of a crash. The
//! tag helps debugging; it is no promise, because memory of a closed handle may be used for anything.

use crate::error::{Failure, Outcome};
use axonic::ErrorKind;

/// An opaque type of the header. Values of it never exist: its pointers point at `Tagged<State>`.
pub(crate) trait Noun {
    /// The name in the header, for messages and for the tag.
    const NAME: &'static str;
    /// What the handle holds.
    type State;
}

/// The spare words come first because an allocator writes its lists into the first bytes of freed memory.
#[repr(C)]
pub(crate) struct Tagged<T> {
    spare: [u64; 2],
    /// `live::<N>()` from `give` to `take`, `CLOSED` afterwards.
    tag: u64,
    state: T,
}

const CLOSED: u64 = 0x6465_736f_6c63_7861;

/// The tag of a live handle: FNV-1a of its name, so that no two nouns share one.
const fn live<N: Noun>() -> u64 {
    let name = N::NAME.as_bytes();
    let mut hash = 0xcbf2_9ce4_8422_2325_u64;
    let mut at = 0;
    while at < name.len() {
        hash = (hash ^ name[at] as u64).wrapping_mul(0x0100_0000_01b3);
        at += 1;
    }
    hash
}

/// Moves a state behind a pointer that C may hold until `take`.
pub(crate) fn give<N: Noun>(state: N::State) -> *mut N {
    Box::into_raw(Box::new(Tagged { spare: [0; 2], tag: live::<N>(), state })).cast()
}

/// The state behind a pointer, shared.
///
/// # Safety
/// `handle` came from `give` and stays open for `'a`, or is one of the mistakes named above; nobody
/// holds it exclusively during `'a`.
pub(crate) unsafe fn get<'a, N: Noun>(handle: *const N) -> Outcome<&'a N::State> {
    let tagged: *const Tagged<N::State> = handle.cast();
    // SAFETY: the caller's promise is the one `check` asks for.
    unsafe { check::<N>(tagged)? };
    // SAFETY: the tag says that `give` made it for this noun; the caller grants `'a`.
    Ok(unsafe { &(*tagged).state })
}

/// The state behind a pointer, exclusive.
///
/// # Safety
/// As `get`, and nobody else uses the handle during `'a`.
pub(crate) unsafe fn get_mut<'a, N: Noun>(handle: *mut N) -> Outcome<&'a mut N::State> {
    let tagged: *mut Tagged<N::State> = handle.cast();
    // SAFETY: the caller's promise is the one `check` asks for.
    unsafe { check::<N>(tagged)? };
    // SAFETY: the tag says that `give` made it for this noun; the caller grants `'a` alone.
    Ok(unsafe { &mut (*tagged).state })
}

/// Takes the state back and frees the handle.
///
/// # Safety
/// As `get_mut`; the pointer is dead afterwards.
pub(crate) unsafe fn take<N: Noun>(handle: *mut N) -> Outcome<N::State> {
    let tagged: *mut Tagged<N::State> = handle.cast();
    // SAFETY: the caller's promise is the one `check` asks for.
    unsafe { check::<N>(tagged)? };
    // SAFETY: live, so a place that may be written; volatile because a plain store before a free is dropped.
    unsafe { std::ptr::write_volatile(&raw mut (*tagged).tag, CLOSED) };
    // SAFETY: `give` made it from a box of this type, and the tag said that nobody took it since.
    Ok(unsafe { Box::from_raw(tagged) }.state)
}

/// Closes a handle; NULL is a no-op.
///
/// # Safety
/// As `take`.
pub(crate) unsafe fn close<N: Noun>(handle: *mut N) -> Outcome<()> {
    if !handle.is_null() {
        // SAFETY: passed on.
        drop(unsafe { take(handle)? });
    }
    Ok(())
}

/// # Safety
/// `tagged` is NULL, misaligned, or readable memory of a handle's size.
unsafe fn check<N: Noun>(tagged: *const Tagged<N::State>) -> Outcome<()> {
    if tagged.is_null() {
        let message = format!("the {} is NULL: never opened, or closed before", N::NAME);
        return Err(Failure::new(ErrorKind::Closed, message));
    }
    if !tagged.is_aligned() {
        return Err(Failure::argument(format!("the {} points at no handle", N::NAME)));
    }
    // SAFETY: readable by the caller's promise, aligned by the test above.
    let tag = unsafe { std::ptr::read_volatile(&raw const (*tagged).tag) };
    if tag == live::<N>() {
        Ok(())
    } else if tag == CLOSED {
        Err(Failure::new(ErrorKind::Closed, format!("the {} is used after it was closed", N::NAME)))
    } else {
        Err(Failure::argument(format!(
            "the {} points at no open handle of that kind (closed, or another noun's)",
            N::NAME
        )))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    struct Left;
    impl Noun for Left {
        const NAME: &'static str = "left";
        type State = String;
    }
    struct Right;
    impl Noun for Right {
        const NAME: &'static str = "right";
        type State = String;
    }

    #[test]
    fn a_handle_answers_for_its_own_noun_only() {
        let left = give::<Left>("state".into());
        // SAFETY: live handles and NULL.
        unsafe {
            assert_eq!(get(left).unwrap(), "state");
            assert_eq!(get(left.cast::<Right>()).unwrap_err().kind(), ErrorKind::InvalidArgument);
            assert_eq!(get::<Left>(std::ptr::null()).unwrap_err().kind(), ErrorKind::Closed);
            assert_eq!(
                get::<Left>(left.cast::<u8>().add(1).cast()).unwrap_err().kind(),
                ErrorKind::InvalidArgument
            );
            close(left).unwrap();
            close::<Left>(std::ptr::null_mut()).unwrap();
        }
    }

    #[test]
    fn a_closed_tag_is_told_apart() {
        let mut tagged = Tagged { spare: [0; 2], tag: CLOSED, state: String::new() };
        let handle: *mut Left = (&raw mut tagged).cast();
        // SAFETY: the memory lives to the end of the test.
        let (used, closed) = unsafe { (get_mut(handle).map(|_| ()), close(handle)) };
        assert_eq!(used.unwrap_err().kind(), ErrorKind::Closed);
        assert_eq!(closed.unwrap_err().kind(), ErrorKind::Closed);
    }
}
