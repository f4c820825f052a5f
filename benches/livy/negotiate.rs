//! A client that logs in by Kerberos over and over, as a process of its own.

/// How many there are at once.
pub const CLIENTS: usize = 4;
/// The first argument of such a process; address and seconds follow.
pub const ARGUMENT: &str = "--negotiate";

/// Whether a KDC can be run here.
pub fn has_kdc() -> bool {
    let path = std::env::var_os("PATH").unwrap_or_default();
    let folders = std::env::split_paths(&path).chain(["/usr/sbin".into(), "/sbin".into()]);
    folders.into_iter().any(|folder| folder.join("krb5kdc").exists())
}

/// Logs in until the seconds are over, with a new token each time, and prints how often.
#[cfg(feature = "kerberos")]
pub fn run(authority: &str, seconds: &str) -> anyhow::Result<()> {
    use std::io::{Read as _, Write as _};
    use std::net::TcpStream;
    use std::time::{Duration, Instant};

    use anyhow::{Context as _, ensure};
    use base64::Engine as _;
    use libgssapi::context::{ClientCtx, CtxFlags};
    use libgssapi::name::Name;
    use libgssapi::oid::{GSS_MECH_SPNEGO, GSS_NT_HOSTBASED_SERVICE};

    let end = Instant::now() + Duration::from_secs(seconds.parse()?);
    let mut stream = TcpStream::connect(authority)?;
    stream.set_nodelay(true)?;
    let mut buffer = vec![0; 1 << 16];
    let mut logins = 0_u64;
    while Instant::now() < end {
        let service = Name::new(b"HTTP@localhost", Some(GSS_NT_HOSTBASED_SERVICE))?;
        let mut context = ClientCtx::new(None, service, CtxFlags::GSS_C_MUTUAL_FLAG, Some(GSS_MECH_SPNEGO));
        let token = context.step(None, None)?.context("the library gives no token")?;
        let token = base64::engine::general_purpose::STANDARD.encode(&*token);
        write!(stream, "GET /api/v1/login HTTP/1.1\r\nHost: localhost\r\nAuthorization: Negotiate {token}\r\n\r\n")?;
        // The answer is short, and comes in one piece.
        let read = stream.read(&mut buffer)?;
        let answer = String::from_utf8_lossy(buffer.get(..read).unwrap_or_default());
        ensure!(answer.starts_with("HTTP/1.1 200"), "{}", answer.lines().next().unwrap_or_default());
        logins += 1;
    }
    println!("{logins}");
    Ok(())
}

/// In a build without Kerberos there is nothing to log in by.
#[cfg(not(feature = "kerberos"))]
pub fn run(_authority: &str, _seconds: &str) -> anyhow::Result<()> {
    anyhow::bail!("this build has no Kerberos")
}
