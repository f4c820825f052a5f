//! Which OS user is at the other end of a loopback connection.
//!
//! Without an authentication scheme everybody on this machine could reach the port and run code as the person who started Hearth. Linux
//! tells the owner of a loopback socket, so connections of other users (but root) are refused.

use std::net::{IpAddr, SocketAddr};

/// The uid that owns the peer's end, where the system tells.
#[must_use]
pub fn uid(peer: SocketAddr, local: SocketAddr) -> Option<u32> {
    let table = if peer.is_ipv4() { "/proc/net/tcp" } else { "/proc/net/tcp6" };
    let text = std::fs::read_to_string(table).ok()?;
    let (from, to) = (written(peer), written(local));
    text.lines().skip(1).find_map(|line| {
        let mut fields = line.split_ascii_whitespace().skip(1);
        let (a, b) = (fields.next()?, fields.next()?);
        if a.eq_ignore_ascii_case(&from) && b.eq_ignore_ascii_case(&to) { fields.nth(4)?.parse().ok() } else { None }
    })
}

/// An address as the kernel's table writes it: 32 bit words in the machine's own order, hexadecimal.
fn written(address: SocketAddr) -> String {
    let words: Vec<u32> = match address.ip() {
        IpAddr::V4(v4) => vec![u32::from_ne_bytes(v4.octets())],
        IpAddr::V6(v6) => v6
            .octets()
            .chunks_exact(4)
            .map(|c| u32::from_ne_bytes([c.first(), c.get(1), c.get(2), c.get(3)].map(|b| b.copied().unwrap_or(0))))
            .collect(),
    };
    let hex: String = words.iter().map(|w| format!("{w:08X}")).collect();
    format!("{hex}:{:04X}", address.port())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn our_own_connection_is_ours() {
        let listener = std::net::TcpListener::bind("127.0.0.1:0").unwrap();
        let client = std::net::TcpStream::connect(listener.local_addr().unwrap()).unwrap();
        let (server, peer) = listener.accept().unwrap();
        assert_eq!(uid(peer, server.local_addr().unwrap()), Some(nix::unistd::Uid::effective().as_raw()));
        drop(client);
    }
}
