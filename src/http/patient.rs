//! A connection that gives up on a peer that takes nothing.
//!
//! Whoever asks for much and reads nothing of the answer would hold its memory and a connection for ever. Time runs only while there is
//! something to be sent and the peer takes none of it; that what was asked for takes long is no matter.

use std::io;
use std::pin::Pin;
use std::task::{Context, Poll};
use std::time::Duration;

use tokio::io::{AsyncRead, AsyncWrite, ReadBuf};
use tokio::time::{Instant, Sleep};

/// A connection whose peer may take nothing for a while, but not for longer.
#[derive(Debug)]
pub struct Patient<S> {
    io: S,
    patience: Duration,
    /// Runs while the peer takes nothing.
    gives_up: Pin<Box<Sleep>>,
    waits: bool,
}

impl<S> Patient<S> {
    /// Gives up after `patience`.
    pub fn new(io: S, patience: Duration) -> Self {
        Self { io, patience, gives_up: Box::pin(tokio::time::sleep(patience)), waits: false }
    }

    /// What came of a write, or that it has waited for too long.
    fn weigh<T>(&mut self, cx: &mut Context<'_>, outcome: Poll<io::Result<T>>) -> Poll<io::Result<T>> {
        if outcome.is_ready() {
            self.waits = false;
            return outcome;
        }
        if !self.waits {
            self.waits = true;
            self.gives_up.as_mut().reset(Instant::now() + self.patience);
        }
        match self.gives_up.as_mut().poll(cx) {
            Poll::Ready(()) => Poll::Ready(Err(io::Error::new(io::ErrorKind::TimedOut, "the peer takes nothing"))),
            Poll::Pending => Poll::Pending,
        }
    }
}

impl<S: AsyncRead + Unpin> AsyncRead for Patient<S> {
    fn poll_read(mut self: Pin<&mut Self>, cx: &mut Context<'_>, into: &mut ReadBuf<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.io).poll_read(cx, into)
    }
}

impl<S: AsyncWrite + Unpin> AsyncWrite for Patient<S> {
    fn poll_write(mut self: Pin<&mut Self>, cx: &mut Context<'_>, data: &[u8]) -> Poll<io::Result<usize>> {
        let outcome = Pin::new(&mut self.io).poll_write(cx, data);
        self.weigh(cx, outcome)
    }

    fn poll_write_vectored(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        data: &[io::IoSlice<'_>],
    ) -> Poll<io::Result<usize>> {
        let outcome = Pin::new(&mut self.io).poll_write_vectored(cx, data);
        self.weigh(cx, outcome)
    }

    fn is_write_vectored(&self) -> bool {
        self.io.is_write_vectored()
    }

    fn poll_flush(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        let outcome = Pin::new(&mut self.io).poll_flush(cx);
        self.weigh(cx, outcome)
    }

    fn poll_shutdown(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        let outcome = Pin::new(&mut self.io).poll_shutdown(cx);
        self.weigh(cx, outcome)
    }
}

#[cfg(test)]
mod tests {
    use tokio::io::{AsyncReadExt, AsyncWriteExt};

    use super::*;

    #[tokio::test]
    async fn a_peer_that_takes_nothing_is_given_up() {
        let (near, mut far) = tokio::io::duplex(64);
        let mut near = Patient::new(near, Duration::from_millis(200));
        let mut taken = [0; 4096];
        for _ in 0..3 {
            // More than there is room for, so that each writes while the other reads.
            let (written, read) = tokio::join!(near.write_all(&[1; 4096]), far.read_exact(&mut taken));
            assert_eq!((written.unwrap(), read.unwrap()), ((), 4096));
        }
        near.write_all(&[2; 64]).await.unwrap();
        let e = near.write_all(&[3; 1]).await.unwrap_err();
        assert_eq!(e.kind(), io::ErrorKind::TimedOut);
    }
}
