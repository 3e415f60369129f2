//! The URLs to which secrets may be sent: `https`, and loopback hosts.

use std::net::IpAddr;

use url::{Host, Url};

use crate::error::{Error, Result};

/// Parses a URL to which secrets may be sent; errors call it `name`.
pub(crate) fn trusted_url(name: &str, text: &str) -> Result<Url> {
    let refuse = |reason: &str| Err(Error::config(format!("the {name} {reason}")));
    let Ok(url) = Url::parse(text) else {
        return refuse("isn't an absolute URL");
    };
    match url.scheme() {
        "https" => {}
        "http" if is_loopback(&url) => {}
        "http" => {
            return refuse("is `http` to a host that isn't loopback: the token would travel in the clear");
        }
        _ => return refuse("is neither `https` nor `http`"),
    }
    if !url.username().is_empty() || url.password().is_some() {
        return refuse("holds a user name or password");
    }
    if url.query().is_some() || url.fragment().is_some() {
        return refuse("holds a query or fragment");
    }
    Ok(url)
}

/// RFC 6761 section 6.3 for `localhost`, RFC 1122 section 3.2.1.3 and RFC 4291 section 2.5.3 for addresses.
pub(crate) fn is_loopback(url: &Url) -> bool {
    match url.host() {
        Some(Host::Domain(name)) => name == "localhost" || name.ends_with(".localhost"),
        Some(Host::Ipv4(address)) => IpAddr::from(address).is_loopback(),
        Some(Host::Ipv6(address)) => IpAddr::from(address).is_loopback(),
        None => false,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn secrets_are_for_https_and_loopback_hosts_only() {
        for url in [
            "https://webexapis.com/v1",
            "https://api-usgov.webex.com/v1/",
            "http://127.0.0.1:80/v1",
            "http://127.9.9.9/",
            "http://[::1]:8080/v1",
            "http://localhost/v1",
            "HTTP://LOCALHOST",
        ] {
            assert!(trusted_url("base URL", url).is_ok(), "{url}");
        }
        for url in [
            "http://webexapis.com/v1",
            "ftp://127.0.0.1",
            "webexapis.com",
            "",
            "https://",
            "https://user@webexapis.com",
            "https://:pw@webexapis.com",
            "https://webexapis.com/?a",
            "https://webexapis.com/#a",
            "http://0.0.0.0",
            "http://localhost.evil.com",
            "http://127.0.0.1.evil.com",
            "http://[::ffff:8.8.8.8]/",
            "file:///etc/passwd",
        ] {
            assert!(matches!(trusted_url("base URL", url), Err(Error::Config(_))), "{url}");
        }
    }
}
