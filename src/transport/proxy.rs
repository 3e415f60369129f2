//! The proxy settings that apply to a URL. Settings that the HTTP client would not understand are refused: it ignores
//! them silently, and would contact the service directly.

use std::{env, ffi::OsString};

use http::Uri;
use hyper_util::client::proxy::matcher::Matcher;
use url::Url;

use crate::error::{Error, Result};

/// Checks a proxy of the builder and returns it with its scheme.
pub(super) fn explicit(text: &str) -> Result<String> {
    readable("the proxy", text)
}

/// Checks the variable of the environment that a request to `url` would use.
///
/// # Errors
///
/// [`Error::Config`] if its value is not a proxy that is supported.
pub(super) fn check_environment(url: &Url) -> Result<()> {
    check(url, |name| env::var_os(name))
}

fn check(url: &Url, variable: impl Fn(&str) -> Option<OsString>) -> Result<()> {
    // In a CGI script, `HTTP_PROXY` is a header of the request, and no variable is used.
    if variable("REQUEST_METHOD").is_some() {
        return Ok(());
    }
    let first = |names: [&'static str; 2]| {
        names.into_iter().find_map(|name| variable(name).map(|value| (name, value)))
    };
    let no_proxy = first(["NO_PROXY", "no_proxy"]).and_then(|(_, value)| value.into_string().ok());
    if is_excluded(url, no_proxy.unwrap_or_default()) {
        return Ok(());
    }
    let own = match url.scheme() {
        "https" => ["HTTPS_PROXY", "https_proxy"],
        _ => ["HTTP_PROXY", "http_proxy"],
    };
    for names in [own, ["ALL_PROXY", "all_proxy"]] {
        match first(names) {
            Some((_, value)) if value.is_empty() => {}
            Some((name, value)) => {
                let name = format!("the proxy in `{name}`");
                let Ok(text) = value.into_string() else {
                    return Err(Error::config(format!("{name} is not a URL: it isn't UTF-8")));
                };
                return readable(&name, &text).map(drop);
            }
            None => {}
        }
    }
    Ok(())
}

/// Returns whether `NO_PROXY` keeps requests to `url` from any proxy, as the HTTP client reads it.
fn is_excluded(url: &Url, no_proxy: String) -> bool {
    let any = Matcher::builder().all("http://127.0.0.1:1").no(no_proxy).build();
    url.as_str().parse().is_ok_and(|uri: Uri| any.intercept(&uri).is_none())
}

/// Checks that the HTTP client understands a proxy. No text shows it, since it can hold a password.
fn readable(name: &str, text: &str) -> Result<String> {
    let with_scheme = if text.contains("://") { text.to_owned() } else { format!("http://{text}") };
    let Ok(url) = Url::parse(&with_scheme) else {
        return Err(Error::config(format!("{name} is not a URL: give it as `http://HOST:PORT`")));
    };
    match url.scheme() {
        "http" | "https" => {}
        "socks4" | "socks4a" | "socks5" | "socks5h" => {
            return Err(Error::config(format!(
                "{name} is a SOCKS proxy, which is not supported: use an HTTP proxy, or an `HttpService` with SOCKS"
            )));
        }
        scheme => {
            return Err(Error::config(format!(
                "{name} has the unknown scheme `{}`: use `http` or `https`",
                scheme.chars().take(20).collect::<String>()
            )));
        }
    }
    let understood = |text: &str| {
        let matcher = Matcher::builder().all(text.to_owned()).build();
        matcher.intercept(&Uri::from_static("https://webexapis.com/")).is_some()
    };
    if !understood(text) || !understood(url.as_str()) {
        return Err(Error::config(format!("{name} is not a URL: give it as `http://HOST:PORT`")));
    }
    Ok(with_scheme)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn checked(url: &str, variables: &[(&str, &str)]) -> Result<()> {
        let variables: Vec<_> = variables.to_vec();
        check(&Url::parse(url).unwrap(), |name| {
            variables.iter().find(|(key, _)| *key == name).map(|(_, value)| OsString::from(value))
        })
    }

    #[test]
    fn a_proxy_of_any_usual_form_is_accepted() {
        for text in [
            "http://127.0.0.1:3128",
            "https://proxy.example",
            "http://user:secret@proxy.example:8080/",
            "proxy.example:8080",
            "proxy.example",
            "[::1]:8080",
            "HTTP://PROXY.EXAMPLE",
        ] {
            explicit(text).unwrap();
            checked("https://webexapis.com", &[("HTTPS_PROXY", text)]).unwrap();
        }
    }

    #[test]
    fn a_proxy_that_the_client_would_ignore_is_refused() {
        for text in [
            "htpp://a",
            "ftp://a",
            "http://",
            "http://[",
            "::",
            "ftp:a",
            "http:/a:b",
            " http:// a",
            "file:///a",
        ] {
            let error = explicit(text).unwrap_err();
            assert!(matches!(error, Error::Config(_)), "{text}: {error}");
            let error = checked("https://webexapis.com", &[("ALL_PROXY", text)]).unwrap_err();
            assert!(error.to_string().contains("`ALL_PROXY`"), "{text}: {error}");
        }
    }

    #[test]
    fn socks_is_refused_by_its_name() {
        for scheme in ["socks4", "socks4a", "socks5", "socks5h"] {
            let error = explicit(&format!("{scheme}://127.0.0.1:1080")).unwrap_err();
            assert!(error.to_string().contains("SOCKS proxy, which is not supported"), "{error}");
        }
    }

    #[test]
    fn of_the_environment_only_the_variable_in_use_is_checked() {
        let bad = "htpp://a";
        let https = "https://webexapis.com/v1";
        for (url, variables, is_fine) in [
            (https, &[("HTTPS_PROXY", bad)][..], false),
            (https, &[("https_proxy", bad)], false),
            (https, &[("HTTP_PROXY", bad)], true),
            (https, &[("ALL_PROXY", bad)], false),
            (https, &[("HTTPS_PROXY", "http://a"), ("ALL_PROXY", bad)], true),
            (https, &[("HTTPS_PROXY", "http://a"), ("https_proxy", bad)], true),
            (https, &[("HTTPS_PROXY", ""), ("ALL_PROXY", bad)], false),
            (https, &[("HTTPS_PROXY", bad), ("NO_PROXY", "*")], true),
            (https, &[("HTTPS_PROXY", bad), ("NO_PROXY", "a.example, .webexapis.com")], true),
            (https, &[("HTTPS_PROXY", bad), ("no_proxy", "webexapis.com")], true),
            (https, &[("HTTPS_PROXY", bad), ("NO_PROXY", "apis.com")], false),
            (https, &[("HTTPS_PROXY", bad), ("REQUEST_METHOD", "GET")], true),
            ("http://10.0.0.1/", &[("HTTP_PROXY", bad)], false),
            ("http://10.0.0.1/", &[("HTTP_PROXY", bad), ("NO_PROXY", "10.0.0.0/8")], true),
        ] {
            assert_eq!(checked(url, variables).is_ok(), is_fine, "{url} {variables:?}");
        }
    }

    #[test]
    fn a_refused_proxy_is_not_shown() {
        for text in ["htpp://user:s3cret@a", "http://user:s3cret@[", "user:s3cret"] {
            let error = explicit(text).unwrap_err();
            assert!(!format!("{error} {error:?}").contains("s3cret"), "{error}");
        }
    }
}
