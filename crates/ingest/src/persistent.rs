//! Work that outlives whoever waits for it.
//!
//! A task of its own would do, but costs every request two wake-ups of a scheduler; hardly any sender hangs up.

use std::pin::Pin;
use std::task::{Context, Poll};

use tokio::runtime::Handle;

/// A future that goes on as a task of the runtime when it is dropped before it is ready. Where no runtime is left, the
/// process is ending.
pub(crate) struct Persistent<F: Future<Output: Send> + Send + 'static>(Option<Pin<Box<F>>>);

impl<F: Future<Output: Send> + Send + 'static> Persistent<F> {
    pub(crate) fn new(future: F) -> Self {
        Self(Some(Box::pin(future)))
    }
}

impl<F: Future<Output: Send> + Send + 'static> Future for Persistent<F> {
    type Output = F::Output;

    fn poll(mut self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<F::Output> {
        // Taken out, so that one that panics is not polled again. None is left once it was ready.
        let Some(mut future) = self.0.take() else { return Poll::Pending };
        let polled = future.as_mut().poll(context);
        if polled.is_pending() {
            self.0 = Some(future);
        }
        polled
    }
}

impl<F: Future<Output: Send> + Send + 'static> Drop for Persistent<F> {
    fn drop(&mut self) {
        if let Some(future) = self.0.take()
            && let Ok(runtime) = Handle::try_current()
        {
            runtime.spawn(future);
        }
    }
}

#[cfg(test)]
mod tests {
    use futures::poll;
    use tokio::sync::oneshot;

    use super::*;

    #[tokio::test]
    async fn it_goes_on_when_nobody_waits_for_it() {
        let (go, gone) = oneshot::channel::<()>();
        let (done, is_done) = oneshot::channel();
        let mut work = Box::pin(Persistent::new(async move {
            gone.await.unwrap();
            done.send(7).unwrap();
        }));
        assert!(poll!(&mut work).is_pending());
        drop(work);
        go.send(()).unwrap();
        assert_eq!(is_done.await, Ok(7));
    }

    #[tokio::test]
    async fn it_is_done_once() {
        let (done, mut is_done) = tokio::sync::mpsc::unbounded_channel();
        assert_eq!(Persistent::new(async move { done.send(7) }).await, Ok(()));
        assert_eq!((is_done.recv().await, is_done.recv().await), (Some(7), None));
    }
}
