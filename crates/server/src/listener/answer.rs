//! The body of an answer, handed over bit by bit, so that it shows whether the client takes it.

use std::pin::Pin;
use std::task::{Context, Poll};

use axum::body::Body;
use bytes::Bytes;
use hyper::body::{Body as _, Frame, SizeHint};

use super::activity::Exchange;
use crate::limits;

/// An answer's body. Each bit is asked for once the connection has room for it.
pub(super) struct AnswerBody {
    body: Body,
    /// What was read of it and not yet asked for.
    left: Bytes,
    exchange: Exchange,
}

impl AnswerBody {
    pub(super) fn new(body: Body, exchange: Exchange) -> Self {
        Self { body, left: Bytes::new(), exchange }
    }

    fn next_bit(&mut self) -> Bytes {
        self.left.split_to(self.left.len().min(limits::ANSWER_CHUNK_BYTES))
    }
}

impl hyper::body::Body for AnswerBody {
    type Data = Bytes;
    type Error = axum::Error;

    fn poll_frame(
        mut self: Pin<&mut Self>,
        context: &mut Context<'_>,
    ) -> Poll<Option<Result<Frame<Bytes>, axum::Error>>> {
        let this = &mut *self;
        if this.left.is_empty() {
            let Poll::Ready(frame) = Pin::new(&mut this.body).poll_frame(context) else {
                this.exchange.ours();
                return Poll::Pending;
            };
            match frame.map(|frame| frame.map(Frame::into_data)) {
                Some(Ok(Ok(data))) => this.left = data,
                Some(Ok(Err(other))) => return Poll::Ready(Some(Ok(other))),
                Some(Err(error)) => return Poll::Ready(Some(Err(error))),
                None => {
                    this.exchange.whole();
                    return Poll::Ready(None);
                }
            }
        }
        this.exchange.theirs();
        Poll::Ready(Some(Ok(Frame::data(this.next_bit()))))
    }

    fn is_end_stream(&self) -> bool {
        self.left.is_empty() && self.body.is_end_stream()
    }

    fn size_hint(&self) -> SizeHint {
        let (mut hint, left) = (self.body.size_hint(), self.left.len() as u64);
        match hint.upper() {
            Some(upper) => {
                let lower = hint.lower();
                hint.set_upper(upper + left);
                hint.set_lower(lower + left);
            }
            None => hint.set_lower(hint.lower() + left),
        }
        hint
    }
}

/// What has no more to hand over is not always asked for its end.
impl Drop for AnswerBody {
    fn drop(&mut self) {
        if self.left.is_empty() && self.body.is_end_stream() {
            self.exchange.whole();
        }
    }
}

#[cfg(test)]
mod tests {
    use std::sync::Arc;

    use http_body_util::BodyExt;

    use super::super::activity::Activity;
    use super::*;

    fn answer(body: Body) -> AnswerBody {
        AnswerBody::new(body, Arc::new(Activity::new()).begin())
    }

    #[tokio::test]
    async fn a_large_body_comes_in_bits_and_whole() {
        let text: Bytes = (0..100_000_u32).map(|n| (n % 251) as u8).collect::<Vec<u8>>().into();
        let mut body = answer(Body::from(text.clone()));
        let mut seen = Vec::new();
        while seen.len() < text.len() {
            assert_eq!(body.size_hint().exact(), Some((text.len() - seen.len()) as u64));
            assert!(!body.is_end_stream());
            let bit = body.frame().await.unwrap().unwrap().into_data().unwrap();
            assert!((1..=limits::ANSWER_CHUNK_BYTES).contains(&bit.len()));
            seen.extend(bit);
        }
        assert_eq!(seen, text);
        assert!(body.is_end_stream());
        assert!(body.frame().await.is_none());
    }

    #[tokio::test]
    async fn an_empty_body_is_over_at_once() {
        let body = answer(Body::empty());
        assert!(body.is_end_stream());
        assert_eq!(body.size_hint().exact(), Some(0));
    }
}
