//! A load generator that costs little, since it shares the machine with what it measures: keep-alive connections, each of which
//! writes one fixed request, reads the whole answer and writes again.

use std::time::{Duration, Instant};

use anyhow::{Context as _, bail};
use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio::net::TcpStream;
use tokio::task::JoinSet;

/// Connections that ask at the same time.
pub const CONNECTIONS: usize = 32;

/// What the load saw.
pub struct Seen {
    /// Answers in a second.
    pub rate: f64,
    /// Milliseconds of each answer.
    pub took: Vec<f64>,
}

/// Asks for `path` over all connections for this long, with further lines of the head. Any answer but 200 is an error.
pub async fn get(authority: &str, path: &str, head: &str, time: Duration) -> anyhow::Result<Seen> {
    let request = format!("GET {path} HTTP/1.1\r\nHost: {authority}\r\nX-Requested-By: bench\r\n{head}\r\n");
    let at = Instant::now();
    let mut connections = JoinSet::new();
    for _ in 0..CONNECTIONS {
        connections.spawn(one(authority.to_owned(), request.clone(), at + time));
    }
    let mut took = Vec::new();
    while let Some(done) = connections.join_next().await {
        took.append(&mut done??);
    }
    Ok(Seen { rate: took.len() as f64 / at.elapsed().as_secs_f64(), took })
}

async fn one(authority: String, request: String, end: Instant) -> anyhow::Result<Vec<f64>> {
    let mut stream = TcpStream::connect(&authority).await?;
    stream.set_nodelay(true)?;
    let mut buffer = Vec::with_capacity(1 << 16);
    let mut took = Vec::with_capacity(1 << 16);
    while Instant::now() < end {
        let at = Instant::now();
        stream.write_all(request.as_bytes()).await?;
        buffer.clear();
        let mut wanted = None;
        while wanted.is_none_or(|all| buffer.len() < all) {
            if stream.read_buf(&mut buffer).await? == 0 {
                bail!("the server closed a connection");
            }
            if wanted.is_none() {
                wanted = whole(&buffer)?;
            }
        }
        took.push(at.elapsed().as_secs_f64() * 1e3);
    }
    Ok(took)
}

/// The length of the whole answer, once its head is there.
fn whole(answer: &[u8]) -> anyhow::Result<Option<usize>> {
    let Some(head) = answer.windows(4).position(|w| w == b"\r\n\r\n") else { return Ok(None) };
    let text = String::from_utf8_lossy(answer.get(..head).unwrap_or_default()).to_ascii_lowercase();
    if !text.starts_with("http/1.1 200") {
        bail!("{}", text.lines().next().unwrap_or_default());
    }
    let length = text.lines().find_map(|l| l.strip_prefix("content-length:")).context("an answer without a length")?;
    Ok(Some(head + 4 + length.trim().parse::<usize>()?))
}
