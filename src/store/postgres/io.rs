//! The thread that talks to the server.
//!
//! A connection belongs to the runtime that opened it, and each web worker and each arbiter has one of its own. So all
//! of a group of connections live here, and everybody's statements come here as tasks. A task is not given up when the
//! one who waits for it is: that is what keeps a half-read answer from ever being taken for the next one's.

use std::future::Future;
use std::io;
use std::sync::Arc;

use tokio::runtime::{Builder, Handle};
use tokio::sync::oneshot;

#[derive(Clone)]
pub(super) struct Io {
    handle: Handle,
    /// The thread ends when the last clone is gone.
    _running: Arc<oneshot::Sender<()>>,
}

impl Io {
    pub(super) fn start(name: &str) -> io::Result<Self> {
        let runtime = Builder::new_current_thread().enable_all().build()?;
        let handle = runtime.handle().clone();
        let (running, ended) = oneshot::channel();
        std::thread::Builder::new().name(name.to_owned()).spawn(move || {
            // An error is the signal: nothing is ever sent.
            drop(runtime.block_on(ended));
        })?;
        Ok(Self { handle, _running: Arc::new(running) })
    }

    /// Begins work that goes on by itself. What it holds of this thread keeps it alive.
    pub(super) fn begin(&self, work: impl Future<Output = ()> + Send + 'static) {
        drop(self.handle.spawn(work));
    }

    /// Does the work to its end, also if the caller stops waiting.
    pub(super) async fn run<T: Send + 'static>(&self, work: impl Future<Output = T> + Send + 'static) -> T {
        match self.handle.spawn(work).await {
            Ok(done) => done,
            // The runtime lives as long as `self`, so it can only have been a panic; it goes on in the caller.
            Err(error) => std::panic::resume_unwind(error.into_panic()),
        }
    }
}
