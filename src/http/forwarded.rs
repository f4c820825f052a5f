//! The client's address, where a proxy stands before the gateway.
//!
//! `X-Forwarded-For` is believed from configured addresses alone, from its end backwards: each trusted proxy vouches for the entry that
//! it appended, and the first entry that none of them vouches for is the client.

use std::net::IpAddr;

use axum::http::HeaderMap;
use ipnet::IpNet;

const FORWARDED_FOR: &str = "x-forwarded-for";
/// More hops than that no honest chain has.
const MOST_HOPS: usize = 16;

/// The client behind a connection from `peer`.
#[must_use]
pub fn client(peer: IpAddr, headers: &HeaderMap, trusted: &[IpNet]) -> IpAddr {
    let peer = peer.to_canonical();
    let is_trusted = |address: IpAddr| trusted.iter().any(|network| network.contains(&address));
    if !is_trusted(peer) {
        return peer;
    }
    let mut hops = Vec::new();
    for value in headers.get_all(FORWARDED_FOR) {
        let Ok(text) = value.to_str() else { return peer };
        hops.extend(text.split(',').map(|hop| hop.trim().parse::<IpAddr>().ok()));
    }
    let mut client = peer;
    for hop in hops.into_iter().rev().take(MOST_HOPS) {
        // A word that is no address ends what can be believed.
        let Some(address) = hop else { return client };
        client = address.to_canonical();
        if !is_trusted(client) {
            break;
        }
    }
    client
}

#[cfg(test)]
mod tests {
    use super::*;

    fn of(peer: &str, forwarded: &[&str]) -> String {
        let mut headers = HeaderMap::new();
        for value in forwarded {
            headers.append(FORWARDED_FOR, value.parse().unwrap());
        }
        let trusted: [IpNet; 2] = ["10.0.0.0/8".parse().unwrap(), "192.168.1.1/32".parse().unwrap()];
        client(peer.parse().unwrap(), &headers, &trusted).to_string()
    }

    #[test]
    fn only_trusted_proxies_are_believed() {
        assert_eq!(of("172.16.0.9", &["1.2.3.4"]), "172.16.0.9");
        assert_eq!(of("10.0.0.1", &["1.2.3.4"]), "1.2.3.4");
        assert_eq!(of("::ffff:10.0.0.1", &["1.2.3.4"]), "1.2.3.4");
        // What the client wrote itself stands before what the proxies appended.
        assert_eq!(of("10.0.0.1", &["6.6.6.6, 1.2.3.4, 192.168.1.1"]), "1.2.3.4");
        assert_eq!(of("10.0.0.1", &["6.6.6.6", "1.2.3.4"]), "1.2.3.4");
        assert_eq!(of("10.0.0.1", &["unknown"]), "10.0.0.1");
        assert_eq!(of("10.0.0.1", &[]), "10.0.0.1");
    }
}
