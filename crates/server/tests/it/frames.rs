//! HTTP/2 by hand, for what no well-behaved client sends. Source: RFC 9113, section 4.1 (frames), and RFC 7541, section
//! 6.2.2 (header fields that are written out).

use tokio::io::{AsyncReadExt, AsyncWriteExt};

pub(crate) const HEADERS: u8 = 1;
pub(crate) const RST_STREAM: u8 = 3;
pub(crate) const SETTINGS: u8 = 4;
pub(crate) const PING: u8 = 6;
pub(crate) const GOAWAY: u8 = 7;

pub(crate) const PROTOCOL_ERROR: u32 = 1;
pub(crate) const REFUSED_STREAM: u32 = 7;
pub(crate) const ENHANCE_YOUR_CALM: u32 = 0xb;

const ACK: u8 = 1;
const END_STREAM: u8 = 1;
const END_HEADERS: u8 = 4;

#[derive(Debug)]
pub(crate) struct Frame {
    pub(crate) kind: u8,
    pub(crate) flags: u8,
    pub(crate) stream: u32,
    pub(crate) payload: Vec<u8>,
}

impl Frame {
    /// The code that a stream, or the connection, was ended with.
    pub(crate) fn code(&self) -> u32 {
        let from = if self.kind == GOAWAY { 4 } else { 0 };
        u32::from_be_bytes(self.payload[from..from + 4].try_into().unwrap())
    }
}

pub(crate) fn frame(kind: u8, flags: u8, stream: u32, payload: &[u8]) -> Vec<u8> {
    let length = u32::try_from(payload.len()).unwrap().to_be_bytes();
    [&length[1..], &[kind, flags], &stream.to_be_bytes(), payload].concat()
}

/// The preface and settings that a client begins with.
pub(crate) fn preface(settings: &[(u16, u32)]) -> Vec<u8> {
    let payload: Vec<u8> = settings
        .iter()
        .flat_map(|(id, value)| [&id.to_be_bytes()[..], &value.to_be_bytes()].concat())
        .collect();
    [b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n".to_vec(), frame(SETTINGS, 0, 0, &payload)].concat()
}

/// A request; with `ends` it has no body, else its body is yet to come.
pub(crate) fn request(
    stream: u32,
    method: &str,
    path: &str,
    headers: &[(&str, &str)],
    ends: bool,
) -> Vec<u8> {
    let own = [(":method", method), (":scheme", "http"), (":path", path), (":authority", "pabal")];
    let text = |text: &str| [&[u8::try_from(text.len()).unwrap()], text.as_bytes()].concat();
    let block: Vec<u8> = own
        .iter()
        .chain(headers)
        .flat_map(|(name, value)| [vec![0], text(name), text(value)].concat())
        .collect();
    frame(HEADERS, END_HEADERS | if ends { END_STREAM } else { 0 }, stream, &block)
}

pub(crate) fn reset(stream: u32) -> Vec<u8> {
    frame(RST_STREAM, 0, stream, &8_u32.to_be_bytes())
}

pub(crate) fn ping(number: u64) -> Vec<u8> {
    frame(PING, 0, 0, &number.to_be_bytes())
}

/// The next frame; `None` at the end, however it came.
pub(crate) async fn next(stream: &mut (impl AsyncReadExt + Unpin)) -> Option<Frame> {
    let mut head = [0; 9];
    stream.read_exact(&mut head).await.ok()?;
    let mut payload = vec![0; usize::from(head[0]) << 16 | usize::from(head[1]) << 8 | usize::from(head[2])];
    stream.read_exact(&mut payload).await.ok()?;
    let id = u32::from_be_bytes(head[5..9].try_into().unwrap());
    Some(Frame { kind: head[3], flags: head[4], stream: id, payload })
}

/// All frames until the connection ends.
pub(crate) async fn rest(stream: &mut (impl AsyncReadExt + Unpin)) -> Vec<Frame> {
    let mut frames = Vec::new();
    while let Some(frame) = next(stream).await {
        frames.push(frame);
    }
    frames
}

/// Sends a ping and reads until its answer: what was sent before it has been looked at then. Answers the frames on the
/// way; `None` where the connection ended.
pub(crate) async fn settled<S>(stream: &mut S, number: u64) -> Option<Vec<Frame>>
where
    S: AsyncReadExt + AsyncWriteExt + Unpin,
{
    stream.write_all(&ping(number)).await.ok()?;
    let mut frames = Vec::new();
    loop {
        let frame = next(stream).await?;
        if frame.kind == PING && frame.flags & ACK != 0 && frame.payload == number.to_be_bytes() {
            return Some(frames);
        }
        frames.push(frame);
    }
}
