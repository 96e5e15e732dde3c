//! Reads the SQLSTATE out of diesel's errors, which keep it to themselves (docs/decisions/0003-sqlstate.md).

#![expect(
    unsafe_code,
    reason = "diesel 2.3 holds the error's PGresult but has no accessor for its SQLSTATE"
)]

use std::{
    ffi::{CStr, c_char, c_int},
    ptr,
};

use diesel::result::DatabaseErrorInformation;
use pq_sys::{PGresult, PQresultErrorField};

/// libpq's `PG_DIAG_SQLSTATE` and `PG_DIAG_MESSAGE_PRIMARY` (`postgres_ext.h`).
const SQLSTATE: u8 = b'C';
const MESSAGE_PRIMARY: u8 = b'M';

/// The five characters that the server sent; `None` where libpq or diesel made the error without the server.
///
/// `info` must come out of a diesel error. diesel 2.3.14 knows two kinds: a `String` (three words) for what happened on
/// the client, and a struct around one `PGresult` pointer for what the server said.
pub(super) fn read(info: &(dyn DatabaseErrorInformation + Send + Sync)) -> Option<String> {
    if size_of_val(info) != size_of::<*const PGresult>() {
        return None;
    }
    let holder = ptr::from_ref(info).cast::<*const PGresult>();
    // SAFETY: of diesel's two kinds only the struct around the pointer has a pointer's size; a struct of that size with
    // that field has it at its beginning. diesel's version is pinned, and a test holds the pin.
    let result = unsafe { holder.read() };
    if result.is_null() {
        return None;
    }
    let primary = field(result, MESSAGE_PRIMARY);
    if !ptr::eq(primary.cast(), info.message().as_ptr()) {
        return None;
    }
    let code = field(result, SQLSTATE);
    if code.is_null() {
        return None;
    }
    // SAFETY: libpq returns a C string that lives as long as its result, and `info` owns the result.
    let code = unsafe { CStr::from_ptr(code) }.to_str().ok()?;
    (code.len() == 5).then(|| code.to_owned())
}

fn field(result: *const PGresult, code: u8) -> *const c_char {
    // SAFETY: `result` is the live result that the caller's `info` owns; the call only reads it.
    unsafe { PQresultErrorField(result, c_int::from(code)) }
}

#[cfg(test)]
mod tests {
    #[test]
    fn the_layout_that_is_read_belongs_to_the_diesel_that_is_linked() {
        let lock = include_str!("../../Cargo.lock");
        let diesel = lock
            .split("[[package]]")
            .find(|package| package.contains("\nname = \"diesel\"\n"))
            .unwrap();
        assert!(
            diesel.contains("\nversion = \"2.3.14\"\n"),
            "read docs/decisions/0003-sqlstate.md before you change it"
        );
    }

    #[test]
    fn a_message_made_on_the_client_has_no_sqlstate() {
        let made_here: Box<dyn diesel::result::DatabaseErrorInformation + Send + Sync> =
            Box::new(String::from("no connection to the server"));
        assert_eq!(super::read(&*made_here), None);
    }
}
