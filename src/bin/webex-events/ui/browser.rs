//! The browser of the person at the terminal.

use std::io::{self, IsTerminal};

/// Opens `url` in the browser, if a person sits at this machine and it has one. Returns whether it was opened.
pub(crate) async fn open(url: &str) -> bool {
    if !io::stderr().is_terminal() || !has_display() {
        return false;
    }
    let url = url.to_owned();
    let opened = tokio::task::spawn_blocking(move || ::open::that_detached(url)).await;
    matches!(opened, Ok(Ok(())))
}

/// Without a display, the system's launcher would start a text browser in this terminal.
#[cfg(all(unix, not(target_os = "macos")))]
fn has_display() -> bool {
    ["DISPLAY", "WAYLAND_DISPLAY", "WSL_DISTRO_NAME"]
        .iter()
        .any(|name| std::env::var_os(name).is_some_and(|value| !value.is_empty()))
}

/// A remote session has the display of another machine.
#[cfg(not(all(unix, not(target_os = "macos"))))]
fn has_display() -> bool {
    std::env::var_os("SSH_CONNECTION").is_none()
}
