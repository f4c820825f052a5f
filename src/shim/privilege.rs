//! Changing the OS user of this process, and what it keeps of its privileges.
//!
//! Two ways down. [`become_user`] is for a process that is to run somebody's code: nothing is kept, and there is no way back.
//! [`Reduced`] is for the watcher of a launch: it works as the gateway's user, starts one program as another, and then keeps
//! only the right to signal what it started.

use std::ffi::CString;

use nix::unistd::User;

/// Becomes the user, with all of their groups, for good: no capability is left, and none can come back.
///
/// # Errors
/// The system's; `EPERM` when something of the former privileges is still there.
#[cfg(not(any(target_os = "macos", target_os = "ios")))]
pub fn become_user(user: &User) -> nix::Result<()> {
    use nix::unistd::{getresgid, getresuid};
    change_user(user)?;
    drop_capabilities()?;
    let (uids, gids) = (getresuid()?, getresgid()?);
    let whole = [uids.real, uids.effective, uids.saved].iter().all(|uid| *uid == user.uid)
        && [gids.real, gids.effective, gids.saved].iter().all(|gid| *gid == user.gid);
    if whole { Ok(()) } else { Err(nix::Error::EPERM) }
}

/// The system library of these offers no list of groups through a safe call.
///
/// # Errors
/// Always.
#[cfg(any(target_os = "macos", target_os = "ios"))]
pub fn become_user(_: &User) -> nix::Result<()> {
    Err(nix::Error::ENOSYS)
}

#[cfg(not(any(target_os = "macos", target_os = "ios")))]
fn change_user(user: &User) -> nix::Result<()> {
    use nix::unistd::{getgrouplist, setgid, setgroups, setresgid, setresuid};
    let name = CString::new(user.name.as_str()).map_err(|_| nix::Error::EINVAL)?;
    // Groups first: once the user is changed, neither may be.
    setgroups(&getgrouplist(&name, user.gid)?)?;
    setgid(user.gid)?;
    setresgid(user.gid, user.gid, user.gid)?;
    setresuid(user.uid, user.uid, user.uid)
}

/// From root the kernel takes them away itself; from a user with capabilities it does not.
#[cfg(target_os = "linux")]
fn drop_capabilities() -> nix::Result<()> {
    use rustix::thread::{CapabilitySet, CapabilitySets, capabilities, clear_ambient_capability_set, set_capabilities};
    let none = CapabilitySet::empty();
    clear_ambient_capability_set().map_err(errno)?;
    set_capabilities(None, CapabilitySets { effective: none, permitted: none, inheritable: none }).map_err(errno)?;
    let left = capabilities(None).map_err(errno)?;
    if left.permitted.is_empty() && left.inheritable.is_empty() { Ok(()) } else { Err(nix::Error::EPERM) }
}

#[cfg(not(any(target_os = "linux", target_os = "macos", target_os = "ios")))]
fn drop_capabilities() -> nix::Result<()> {
    Ok(())
}

/// Nothing that this process executes from now on gains a privilege, set-user-id programs included.
///
/// # Errors
/// The system's.
pub fn forbid_new_privileges() -> nix::Result<()> {
    #[cfg(target_os = "linux")]
    nix::sys::prctl::set_no_new_privs()?;
    Ok(())
}

/// Proof that this process has stepped down: it is the given user, with the capabilities to start a program as another
/// user (`CAP_SETUID`, `CAP_SETGID`) and to signal it (`CAP_KILL`).
#[derive(Debug)]
pub struct Reduced(());

#[cfg(target_os = "linux")]
impl Reduced {
    /// Steps down to `user`. Programs started from now on inherit the right to change their user, until
    /// [`Reduced::keep_only_kill`].
    ///
    /// # Errors
    /// When this process has not those capabilities.
    pub fn to(user: &User) -> nix::Result<Self> {
        use rustix::thread::{CapabilitySet, CapabilitySets, configure_capability_in_ambient_set, set_capabilities};
        let change = CapabilitySet::SETUID | CapabilitySet::SETGID;
        let kept = change | CapabilitySet::KILL;
        nix::sys::prctl::set_keepcaps(true)?;
        change_user(user)?;
        set_capabilities(None, CapabilitySets { effective: kept, permitted: kept, inheritable: change })
            .map_err(errno)?;
        rustix::thread::clear_ambient_capability_set().map_err(errno)?;
        for capability in [CapabilitySet::SETUID, CapabilitySet::SETGID] {
            configure_capability_in_ambient_set(capability, true).map_err(errno)?;
        }
        Ok(Self(()))
    }

    /// Gives up all but `CAP_KILL`.
    ///
    /// # Errors
    /// The system's.
    pub fn keep_only_kill(self) -> nix::Result<()> {
        use rustix::thread::{CapabilitySet, CapabilitySets, clear_ambient_capability_set, set_capabilities};
        let kill = CapabilitySet::KILL;
        clear_ambient_capability_set().map_err(errno)?;
        let sets = CapabilitySets { effective: kill, permitted: kill, inheritable: CapabilitySet::empty() };
        set_capabilities(None, sets).map_err(errno)
    }

    /// Whether this process could step down.
    #[must_use]
    pub fn is_possible() -> bool {
        use rustix::thread::{CapabilitySet, capabilities};
        let needed = CapabilitySet::SETUID | CapabilitySet::SETGID | CapabilitySet::KILL;
        capabilities(None).is_ok_and(|sets| sets.effective.contains(needed))
    }
}

/// Capabilities are Linux's.
#[cfg(not(target_os = "linux"))]
impl Reduced {
    /// Not offered.
    ///
    /// # Errors
    /// Always.
    pub fn to(_: &User) -> nix::Result<Self> {
        Err(nix::Error::ENOSYS)
    }

    /// Never reached.
    ///
    /// # Errors
    /// Always.
    pub fn keep_only_kill(self) -> nix::Result<()> {
        Err(nix::Error::ENOSYS)
    }

    /// Never.
    #[must_use]
    pub fn is_possible() -> bool {
        false
    }
}

#[cfg(target_os = "linux")]
fn errno(e: rustix::io::Errno) -> nix::Error {
    nix::Error::from_raw(e.raw_os_error())
}
