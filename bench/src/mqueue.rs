//! The kernel's own message queues (mq_overview(7)), as deep as it allows everybody. They have nothing to acknowledge: what
//! was taken by one that dies is lost.

use crate::effort::Effort;
use crate::measure::receive;
use crate::process::pair;
use crate::report::Report;
use nix::libc;
use std::ffi::CString;

const SIZE: usize = 64;

pub fn throughput(effort: &Effort, report: &mut Report) {
    let (stream, queue) = (effort.stream(SIZE), open());
    let produce = || {
        let message = [7u8; SIZE];
        for _ in 0..stream.all() {
            let bytes = std::hint::black_box(&message).as_ptr().cast();
            // SAFETY: bytes of our own.
            assert_eq!(unsafe { libc::mq_send(queue, bytes, SIZE, 0) }, 0, "mq_send");
        }
    };
    let rate = pair(produce, || {
        let mut to = [0u8; SIZE];
        receive(stream, || {
            // SAFETY: memory of our own, as large as the queue's messages.
            let got = unsafe { libc::mq_receive(queue, to.as_mut_ptr().cast(), SIZE, std::ptr::null_mut()) };
            assert_eq!(got, SIZE as isize, "mq_receive");
            std::hint::black_box(&to);
        })
    });
    report.rates("queue", "posix-mq", SIZE, rate);
}

/// A queue without a name, which lasts as long as somebody has it open.
fn open() -> libc::mqd_t {
    let depth = std::fs::read_to_string("/proc/sys/fs/mqueue/msg_max").expect("the kernel's message queues");
    let name = CString::new(format!("/axonic-bench-{}", std::process::id())).expect("a name");
    // SAFETY: all zeros are a valid value of this structure.
    let mut limits: libc::mq_attr = unsafe { std::mem::zeroed() };
    limits.mq_maxmsg = depth.trim().parse().expect("a number");
    limits.mq_msgsize = SIZE as _;
    // SAFETY: a name of our own, limits that outlive the call.
    let queue = unsafe {
        libc::mq_open(name.as_ptr(), libc::O_RDWR | libc::O_CREAT | libc::O_EXCL, 0o600, &mut limits)
    };
    assert!(queue >= 0, "mq_open: {}", std::io::Error::last_os_error());
    // SAFETY: the name just used.
    unsafe { libc::mq_unlink(name.as_ptr()) };
    queue
}
