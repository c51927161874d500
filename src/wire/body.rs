//! Reads one body, within its bounds. A body that is here in one piece (the usual webhook) is handed on without
//! a copy and without a timer; only one that is still on its way costs a timer and a buffer.

use bytes::{Bytes, BytesMut};
use hyper::body::{Body, Incoming};
use std::pin::Pin;
use std::task::{Context, Poll, ready};

/// A declared length is believed up to here when room is made; a liar gets no more memory than it fills.
const RESERVE_BYTES_MAX: usize = 64 * 1024;

/// Why a body was not read.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Unread {
    TooLarge,
    Broken,
}

/// A body as far as it has arrived.
#[derive(Debug)]
pub(super) struct Intake {
    /// Bytes that may still come.
    left: usize,
    first: Bytes,
    /// Used from the second piece on.
    joined: BytesMut,
}

impl Intake {
    /// Looks at the declared length before anything is read.
    pub(super) fn begin(body: &Incoming, bytes_max: usize) -> Result<Self, Unread> {
        if body.size_hint().lower() > bytes_max as u64 {
            return Err(Unread::TooLarge);
        }
        Ok(Self { left: bytes_max, first: Bytes::new(), joined: BytesMut::new() })
    }

    /// Takes what has arrived; ready when that is all.
    pub(super) fn poll(&mut self, body: &mut Incoming, context: &mut Context<'_>) -> Poll<Result<(), Unread>> {
        while !body.is_end_stream() {
            match ready!(Pin::new(&mut *body).poll_frame(context)) {
                // Trailers are dropped: nothing that authenticates or decides reads them.
                Some(Ok(frame)) => {
                    if let Ok(piece) = frame.into_data() {
                        self.take(piece, body.size_hint().lower())?;
                    }
                }
                Some(Err(_)) => return Poll::Ready(Err(Unread::Broken)),
                None => break,
            }
        }
        Poll::Ready(Ok(()))
    }

    fn take(&mut self, piece: Bytes, still_declared: u64) -> Result<(), Unread> {
        self.left = self.left.checked_sub(piece.len()).ok_or(Unread::TooLarge)?;
        if self.first.is_empty() && self.joined.is_empty() {
            self.first = piece;
            return Ok(());
        }
        if self.joined.is_empty() {
            let more = usize::try_from(still_declared).unwrap_or(usize::MAX).min(RESERVE_BYTES_MAX);
            self.joined.reserve(self.first.len() + piece.len() + more);
            self.joined.extend_from_slice(&std::mem::take(&mut self.first));
        }
        self.joined.extend_from_slice(&piece);
        Ok(())
    }

    pub(super) fn into_bytes(self) -> Bytes {
        if self.joined.is_empty() { self.first } else { self.joined.freeze() }
    }
}

/// Reads on without keeping anything, until the end or `bytes_max`.
pub(super) async fn discard(body: &mut Incoming, bytes_max: u64) {
    let mut left = bytes_max;
    while !body.is_end_stream() {
        let frame = std::future::poll_fn(|context| Pin::new(&mut *body).poll_frame(context)).await;
        let Some(Ok(frame)) = frame else { return };
        let bytes = frame.data_ref().map_or(0, |piece| piece.len() as u64);
        match left.checked_sub(bytes) {
            Some(rest) => left = rest,
            None => return,
        }
    }
}
