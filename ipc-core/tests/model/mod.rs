//! What the models share.
#![allow(dead_code)]

pub mod ring;

use loom::model::Builder;
use loom::sync::{Condvar, Mutex};

/// Explores every schedule with at most `preemptions` involuntary switches.
pub fn check(preemptions: usize, model: impl Fn() + Sync + Send + 'static) {
    let mut builder = Builder::new();
    builder.preemption_bound = Some(preemptions);
    builder.max_branches = 20_000;
    builder.check(model);
}

/// The FIFO and the epoll set of a sleeper: what was rung stays until it is taken, and so does a death.
#[derive(Default)]
pub struct Bell {
    state: Mutex<(bool, bool)>,
    came: Condvar,
}

impl Bell {
    pub fn new() -> Bell {
        Bell { state: Mutex::new((false, false)), came: Condvar::new() }
    }

    pub fn ring(&self) {
        self.state.lock().unwrap().0 = true;
        self.came.notify_one();
    }

    /// The process on the other side exited.
    pub fn die(&self) {
        self.state.lock().unwrap().1 = true;
        self.came.notify_one();
    }

    /// Waits without end; whether somebody died. loom reports a deadlock if nothing ever comes.
    pub fn sleep(&self) -> bool {
        let mut state = self.state.lock().unwrap();
        while *state == (false, false) {
            state = self.came.wait(state).unwrap();
        }
        state.0 = false;
        std::mem::take(&mut state.1)
    }

    /// Takes the rings without waiting.
    pub fn silence(&self) -> bool {
        std::mem::take(&mut self.state.lock().unwrap().0)
    }

    pub fn is_rung(&self) -> bool {
        self.state.lock().unwrap().0
    }
}
