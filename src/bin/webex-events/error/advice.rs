//! Advice for errors. It names only options of the command that runs.

use std::{io, sync::OnceLock};

use webex_events::{Error, LinkErrorKind, LoginError, TransportErrorKind};

/// The command that runs, and its options: advice names no other.
static COMMAND: OnceLock<(String, Vec<String>)> = OnceLock::new();

/// Sets the command that runs, and the long names of its options.
pub(crate) fn set_command(name: &str, options: impl Iterator<Item = String>) {
    let _ = COMMAND.set((name.to_owned(), options.collect()));
}

/// Returns true if the command has this option, such as `--from`.
pub(crate) fn has_option(option: &str) -> bool {
    let name = option.trim_start_matches('-');
    COMMAND.get().is_none_or(|(_, options)| options.iter().any(|other| other == name))
}

fn is_command(name: &str) -> bool {
    COMMAND.get().is_some_and(|(command, _)| command == name)
}

/// Advice for an error of the system, if there is any that fits it.
pub(super) fn remedy(error: &io::Error) -> Option<String> {
    let remedy = match error.kind() {
        io::ErrorKind::StorageFull | io::ErrorKind::QuotaExceeded => "make room",
        io::ErrorKind::FileTooLarge => "raise the limit of the size of files (ulimit -f)",
        io::ErrorKind::PermissionDenied => "make it writable",
        // The error may be wrapped, and then has no number.
        _ => return remedy_of_text(&error.to_string()).map(str::to_owned),
    };
    Some(remedy.to_owned())
}

/// The same for a text that contains the error.
fn remedy_of_text(text: &str) -> Option<&'static str> {
    if !text.contains("Too many open files") {
        None
    } else if has_option("--concurrency") {
        Some("raise the limit of open files (ulimit -n) or lower --concurrency")
    } else {
        Some("raise the limit of open files (ulimit -n)")
    }
}

/// Advice for an invalid setting, where its text has none.
fn setting_advice(text: &str) -> Option<&'static str> {
    match text {
        _ if text.starts_with("the base URL") => {
            Some("give --base-url, or WEBEX_BASE_URL, in the form https://webexapis.com/v1")
        }
        _ if text.starts_with("the proxy is not") => Some("give --proxy in the form http://HOST:PORT"),
        _ if text.starts_with("the root certificate") => Some("check --root-certificate"),
        _ => remedy_of_text(text),
    }
}

/// Advice for an output that can't be used.
pub(super) fn or_elsewhere(remedy: Option<String>) -> String {
    let elsewhere = has_option("--output").then(|| "choose another output with -o".to_owned());
    let parts: Vec<_> = remedy.into_iter().chain(elsewhere).collect();
    if parts.is_empty() { "check the disk".to_owned() } else { parts.join(", or ") }
}

/// Advice for an error of the library. `again` says how to give the same command again.
pub(super) fn advice(error: &Error, again: &str) -> Option<String> {
    let advice = match error {
        _ if error.is_auth() && error.is_renewal() => {
            return Some(format!(
                "check the client id and secret, or log in again with `webex-events login`; then {again}"
            ));
        }
        _ if error.is_auth() => {
            return Some(format!("get a new token: this one is wrong, expired or revoked; then {again}"));
        }
        _ if error.is_beyond_retention() => match () {
            () if is_command("follow") => {
                "start with a later --from and another output, or get the Pro Pack for older events"
            }
            () if has_option("--from") => "use a later --from, or get the Pro Pack for older events",
            () => "older events need the Pro Pack",
        },
        _ if error.is_forbidden() => NO_ACCESS,
        Error::Transport(error) => {
            return Some(format!("{}; then {again}", transport_advice(error.kind())));
        }
        Error::Login(LoginError::Denied) => {
            "log in again as a compliance officer, and choose to allow the access"
        }
        Error::Login(LoginError::OtherState) => {
            "close the pages of other logins, and log in again with the URL that is printed then"
        }
        Error::Login(LoginError::NoCode) => {
            "log in again, and paste the whole URL of the last page, or the value of `code` in it"
        }
        Error::Login(LoginError::Expired) => "log in again, and enter the new code within its lifetime",
        Error::Login(_) => "check the scopes and the redirect URIs of the integration",
        Error::Store { source, .. }
            if source
                .downcast_ref()
                .is_some_and(|error: &io::Error| error.kind() == io::ErrorKind::NotFound) =>
        {
            "create the folder of the file, or choose another --oauth-store"
        }
        Error::Store { .. } => {
            return Some(format!(
                "make room, or make the file of --oauth-store and its folder writable; then {again}"
            ));
        }
        Error::Config(text) => return setting_advice(text).map(str::to_owned),
        Error::Cursor { .. } => "give the same command again: it restarts that list from its beginning",
        _ if error.is_transient() => return Some(later(error, again)),
        _ if error.is_not_found() && is_command("get") => "check the id, and that --base-url ends with /v1",
        _ if error.is_not_found() => "check that --base-url ends with /v1",
        Error::Api(_) => "check the arguments",
        Error::Decode(_) => "check --base-url and --proxy: the response may not be from the service",
        Error::Link { kind: LinkErrorKind::CrossOrigin, .. } => {
            "the link isn't followed, because the token would be sent there: check --base-url and --proxy"
        }
        Error::Link { .. } if has_option("--to") => {
            "give the same command again, or one with a narrower --from and --to"
        }
        Error::Link { .. } => return Some(format!("wait a while, then {again}")),
        _ => return None,
    };
    Some(advice.to_owned())
}

/// Advice for a token that may not list events.
pub(crate) const NO_ACCESS: &str = "make a token with the scope spark-compliance:events_read, whose owner has the role of a \
                                    compliance officer in Control Hub";

/// Advice for a temporary error.
fn later(error: &Error, again: &str) -> String {
    match error.retry_after() {
        Some(wait) if wait.as_secs() > 0 => {
            let wait = wait.as_secs();
            let after = format!("wait {wait} s and {again}");
            if has_option("--max-wait") {
                format!("{after}, or allow that wait with --max-wait {wait}s")
            } else {
                after
            }
        }
        _ if error.is_rate_limited() && has_option("--rate-limit") => {
            format!("wait a while, then {again}, with a lower --rate-limit")
        }
        _ => format!("wait a while, then {again}"),
    }
}

/// The advice for each kind of failed connection.
pub(crate) fn transport_advice(kind: TransportErrorKind) -> &'static str {
    match kind {
        TransportErrorKind::Dns => {
            "the name of the host is unknown: check --base-url and the name server, or set --proxy"
        }
        TransportErrorKind::Tls => {
            "check --base-url and --proxy; if the network inspects TLS, add its certificate with --root-certificate"
        }
        TransportErrorKind::Proxy => "check --proxy, or the proxy in the environment",
        TransportErrorKind::Refused => {
            "nothing listens at the address of --base-url, or a firewall refuses the connection: check --base-url and the firewall, or set --proxy"
        }
        TransportErrorKind::TimedOut => {
            "a firewall may block the connection: check --base-url, or set --proxy"
        }
        _ => "check the network, --base-url and --proxy",
    }
}
