//! `unsafe` and `extern` functions.
#![deny(warnings)]

use vitalsign::observed;

#[observed]
unsafe fn reads(pointer: *const u8) -> u8 {
    // SAFETY: the caller's promise.
    unsafe { *pointer }
}

#[observed]
unsafe fn reads_later_sync(pointer: *const u8) -> impl Future<Output = u8> {
    async move {
        // SAFETY: the caller's promise.
        unsafe { *pointer }
    }
}

#[observed]
async unsafe fn reads_later(pointer: *const u8) -> u8 {
    // SAFETY: the caller's promise.
    unsafe { *pointer }
}

#[observed]
extern "C" fn from_c(n: i32) -> i32 {
    n + 1
}

#[observed]
#[unsafe(no_mangle)]
pub unsafe extern "C" fn vitalsign_exported(n: i32) -> i32 {
    n + 2
}

unsafe trait Careful {
    unsafe fn careful(&self) -> u8;
}

#[observed]
unsafe impl Careful for u8 {
    unsafe fn careful(&self) -> u8 {
        *self
    }
}

#[tokio::main(flavor = "current_thread")]
async fn main() {
    let n = 1;
    // SAFETY: the pointers are those of a local.
    unsafe {
        assert_eq!(reads(&n), 1);
        assert_eq!(reads_later(&n).await, 1);
        assert_eq!(reads_later_sync(&n).await, 1);
        assert_eq!(vitalsign_exported(1), 3);
        assert_eq!(n.careful(), 1);
    }
    let callback: extern "C" fn(i32) -> i32 = from_c;
    assert_eq!(callback(1), 2);
}
