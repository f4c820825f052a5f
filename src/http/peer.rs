//! Which OS user is at the other end of a loopback connection.
//!
//! Without an authentication scheme everybody on this machine could reach the port and run code as the person who started Hearth. Linux
//! tells the owner of a loopback socket, so connections of other users (but root) are refused.

use std::net::{IpAddr, Ipv6Addr, SocketAddr};

/// The kernel's tables of sockets by family. The family is that of the peer's socket, which its address does not tell: an IPv6 socket
/// that dials `::ffff:127.0.0.1` comes as 127.0.0.1 and stands in the second.
const TABLES: [&str; 2] = ["/proc/net/tcp", "/proc/net/tcp6"];
/// States of a socket that a process may hold at the other end of a connection: `ESTABLISHED`, `FIN_WAIT1` and `FIN_WAIT2` (it has said
/// all that it has to say), `CLOSE_WAIT`. See the kernel's `include/net/tcp_states.h`.
const HELD: [&str; 4] = ["01", "04", "05", "08"];

/// What the system tells of a peer.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Owner {
    /// The uid that owns its socket.
    Uid(u32),
    /// No process of this machine holds such a socket: it was closed, or it is not of this network namespace.
    Nobody,
    /// The system has no such tables.
    Untold,
}

/// Who owns the peer's end of a connection.
#[must_use]
pub fn owner(peer: SocketAddr, local: SocketAddr) -> Owner {
    // A table is no snapshot: an entry may be passed over while others come and go.
    match look(peer, local) {
        Owner::Nobody => look(peer, local),
        told => told,
    }
}

fn look(peer: SocketAddr, local: SocketAddr) -> Owner {
    let mut told = Owner::Untold;
    for table in TABLES {
        let Ok(text) = std::fs::read_to_string(table) else { continue };
        match find(&text, peer, local) {
            Some(uid) => return Owner::Uid(uid),
            None => told = Owner::Nobody,
        }
    }
    told
}

/// The uid of the socket from `peer` to `local` in one table. Sockets without a process (of `TIME_WAIT`, say) have the inode 0, and show
/// the uid 0 that is not theirs.
fn find(table: &str, peer: SocketAddr, local: SocketAddr) -> Option<u32> {
    let ends: Vec<(String, String)> = written(peer).into_iter().zip(written(local)).collect();
    table.lines().skip(1).find_map(|line| {
        let fields: Vec<&str> = line.split_ascii_whitespace().collect();
        let &[_, from, to, state, _, _, _, uid, _, inode, ..] = fields.as_slice() else { return None };
        let is_it = ends.iter().any(|(a, b)| from.eq_ignore_ascii_case(a) && to.eq_ignore_ascii_case(b));
        if is_it && HELD.contains(&state) && inode != "0" { uid.parse().ok() } else { None }
    })
}

/// An address as the tables may write it: plain, and an IPv4 address as a mapped one too. 32 bit words in the machine's own order,
/// hexadecimal.
fn written(address: SocketAddr) -> Vec<String> {
    let hex = |octets: &[u8]| -> String {
        let word =
            |c: &[u8]| u32::from_ne_bytes([c.first(), c.get(1), c.get(2), c.get(3)].map(|b| b.copied().unwrap_or(0)));
        octets.chunks_exact(4).map(|c| format!("{:08X}", word(c))).collect()
    };
    let port = address.port();
    let v6 = |v6: Ipv6Addr| format!("{}:{port:04X}", hex(&v6.octets()));
    match address.ip().to_canonical() {
        IpAddr::V4(v4) => vec![format!("{}:{port:04X}", hex(&v4.octets())), v6(v4.to_ipv6_mapped())],
        // Twice, to go with the two ways of the other end.
        IpAddr::V6(only) => vec![v6(only), v6(only)],
    }
}

#[cfg(test)]
mod tests {
    use std::net::{TcpListener, TcpStream};

    use super::*;

    fn me() -> Owner {
        Owner::Uid(nix::unistd::Uid::effective().as_raw())
    }

    #[test]
    fn our_own_connection_is_ours_whatever_its_family() {
        let listener = TcpListener::bind("127.0.0.1:0").unwrap();
        let local = listener.local_addr().unwrap();
        for address in [IpAddr::from([127, 0, 0, 1]), "::ffff:127.0.0.1".parse().unwrap()] {
            let client = TcpStream::connect((address, local.port())).unwrap();
            let (_server, peer) = listener.accept().unwrap();
            assert_eq!(owner(peer, local), me(), "{address}");
            client.shutdown(std::net::Shutdown::Write).unwrap();
            assert_eq!(owner(peer, local), me(), "{address} has said everything");
        }
    }

    #[test]
    fn a_closed_connection_is_nobodys() {
        let listener = TcpListener::bind("127.0.0.1:0").unwrap();
        let local = listener.local_addr().unwrap();
        let client = TcpStream::connect(local).unwrap();
        let (server, peer) = listener.accept().unwrap();
        drop(client);
        assert_eq!(owner(peer, local), Owner::Nobody);
        drop(server);
        assert_eq!(owner(peer, local), Owner::Nobody);
    }

    #[test]
    #[cfg(target_endian = "little")]
    fn a_socket_without_a_process_tells_nothing() {
        let table = |state: &str, inode: &str| {
            format!(
                "  sl  local_address rem_address   st tx_queue rx_queue tr tm->when retrnsmt   uid  timeout inode\n   \
                 0: 0000000000000000FFFF00000100007F:C001 0000000000000000FFFF00000100007F:2326 {state} \
                 00000000:00000000 00:00000000 00000000  1001        0 {inode} 1 0 20 4 30 10 -1"
            )
        };
        let (peer, local) = ("127.0.0.1:49153".parse().unwrap(), "127.0.0.1:8998".parse().unwrap());
        assert_eq!(find(&table("01", "77"), peer, local), Some(1001));
        assert_eq!(find(&table("06", "0"), peer, local), None, "TIME_WAIT");
        assert_eq!(find(&table("01", "0"), peer, local), None);
        assert_eq!(find(&table("01", "77"), local, peer), None, "the gateway's own end");
    }
}
