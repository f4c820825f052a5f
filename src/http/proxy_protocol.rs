//! The PROXY protocol (versions 1 and 2): a load balancer says at the head of a connection whom it forwards.
//!
//! It is read only from configured addresses, which then must send it. The specification is HAProxy's `proxy-protocol.txt`.

use std::io;
use std::net::{IpAddr, SocketAddr};

use ppp::{HeaderResult, v1, v2};
use tokio::io::AsyncReadExt as _;
use tokio::net::TcpStream;

/// Longest head of version 2 that is read, bytes: 28 or 52, with additions some hundred.
const LONGEST: usize = 4096;
/// How version 1 begins, and its longest head, bytes.
const TEXT: &[u8] = b"PROXY ";
const LONGEST_TEXT: usize = 107;
/// How version 2 begins, and where its length stands.
const BINARY: &[u8] = b"\r\n\r\n\0\r\nQUIT\n";
const BINARY_HEAD: usize = 16;

/// The client behind the proxy; none when the proxy speaks for itself (its health check).
///
/// # Errors
/// What came is not such a head; the connection's own.
pub async fn read(stream: &mut TcpStream) -> io::Result<Option<SocketAddr>> {
    let mut seen = Vec::with_capacity(256);
    while !is_whole(&seen)? {
        // One byte after another, so that nothing behind the head is taken away from TLS or HTTP. A head is short.
        seen.push(stream.read_u8().await?);
    }
    parsed(&seen)
}

fn wrong() -> io::Error {
    io::Error::new(io::ErrorKind::InvalidData, "a PROXY head was expected")
}

/// Whether the head has come to its end.
fn is_whole(seen: &[u8]) -> io::Result<bool> {
    let begins = |with: &[u8]| seen.iter().zip(with).all(|(a, b)| a == b);
    if begins(BINARY) {
        let length = seen.get(BINARY_HEAD - 2..BINARY_HEAD).and_then(|l| <[u8; 2]>::try_from(l).ok());
        let Some(length) = length.map(|l| usize::from(u16::from_be_bytes(l))) else { return Ok(false) };
        return if length > LONGEST { Err(wrong()) } else { Ok(seen.len() >= BINARY_HEAD + length) };
    }
    if begins(TEXT) && seen.len() <= LONGEST_TEXT { Ok(seen.ends_with(b"\r\n")) } else { Err(wrong()) }
}

fn parsed(head: &[u8]) -> io::Result<Option<SocketAddr>> {
    let client = match HeaderResult::parse(head) {
        HeaderResult::V1(head) => match head.map_err(|_| wrong())?.addresses {
            v1::Addresses::Tcp4(a) => Some((IpAddr::from(a.source_address), a.source_port).into()),
            v1::Addresses::Tcp6(a) => Some((IpAddr::from(a.source_address), a.source_port).into()),
            v1::Addresses::Unknown => None,
        },
        HeaderResult::V2(head) => match head.map_err(|_| wrong())?.addresses {
            v2::Addresses::IPv4(a) => Some((IpAddr::from(a.source_address), a.source_port).into()),
            v2::Addresses::IPv6(a) => Some((IpAddr::from(a.source_address), a.source_port).into()),
            v2::Addresses::Unix(_) | v2::Addresses::Unspecified => None,
        },
    };
    Ok(client)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn both_versions_are_read() {
        let text = b"PROXY TCP4 1.2.3.4 10.0.0.1 5000 443\r\n";
        let binary = b"\r\n\r\n\0\r\nQUIT\n\x21\x11\0\x0c\x01\x02\x03\x04\x0a\0\0\x01\x13\x88\x01\xbb";
        for head in [&text[..], &binary[..]] {
            for end in 0..head.len() {
                assert!(!is_whole(&head[..end]).unwrap(), "{end}");
            }
            assert!(is_whole(head).unwrap());
            assert_eq!(parsed(head).unwrap(), Some("1.2.3.4:5000".parse().unwrap()));
        }
        assert_eq!(parsed(b"PROXY UNKNOWN\r\n").unwrap(), None);
    }

    #[test]
    fn anything_else_is_refused_at_its_first_wrong_byte() {
        assert!(is_whole(b"G").is_err());
        assert!(is_whole(&[b"PROXY ".as_slice(), &[b'x'; 200]].concat()).is_err());
        assert!(parsed(b"PROXY TCP4 nonsense\r\n").is_err());
        assert!(is_whole(b"\r\n\r\n\0\r\nQUIT\n\x21\x11\xff\xff").is_err());
    }
}
