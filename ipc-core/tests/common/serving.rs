//! What tests of services share.

use axonic::{Payload, Request, Service};

/// Ends whoever serves, however the test ends.
pub struct Closing<'a>(pub &'a Service);

impl Drop for Closing<'_> {
    fn drop(&mut self) {
        self.0.close();
    }
}

/// Answers a call with what came with it.
pub fn give_back(request: Request) {
    let data = request.body().data().to_vec();
    request.reply(Payload::raw(&data)).unwrap();
}
