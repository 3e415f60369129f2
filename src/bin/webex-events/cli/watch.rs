//! The options for monitoring a run.

use std::{
    net::{Ipv4Addr, SocketAddr},
    time::Duration,
};

use clap::Args;

use crate::cli::values::span;

#[derive(Args, Clone, Debug, Default)]
#[command(next_help_heading = "Metrics")]
pub(crate) struct Watch {
    /// Address to serve /metrics (Prometheus) and /healthz on; a port alone listens on this machine only
    #[arg(long = "metrics", id = "metrics", value_name = "IP:PORT", value_parser = address)]
    pub(crate) addr: Option<SocketAddr>,

    /// Lag, or time since the last page, above which /healthz fails
    #[arg(long, value_name = "SPAN", value_parser = span, requires = "metrics")]
    pub(crate) max_lag: Option<Duration>,
}

/// Reads an address; `9090`, `:9090` and `localhost:9090` are loopback addresses.
fn address(text: &str) -> Result<SocketAddr, String> {
    let port = text.strip_prefix("localhost:").or_else(|| text.strip_prefix(':')).unwrap_or(text);
    let is_number = port.bytes().all(|byte| byte.is_ascii_digit());
    match port.parse() {
        Ok(port) if is_number => Ok((Ipv4Addr::LOCALHOST, port).into()),
        _ => text.parse().map_err(|_| {
            "an address is IP:PORT (192.0.2.1:9090, [::1]:9090), or a port alone to listen on this machine only (9090)"
                .to_owned()
        }),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_port_alone_is_a_loopback_address() {
        for (text, expected) in [
            ("9090", "127.0.0.1:9090"),
            (":9090", "127.0.0.1:9090"),
            ("localhost:0", "127.0.0.1:0"),
            ("0.0.0.0:9090", "0.0.0.0:9090"),
            ("[::1]:9090", "[::1]:9090"),
        ] {
            assert_eq!(address(text).map(|address| address.to_string()).as_deref(), Ok(expected));
        }
        for text in ["", ":", "+80", "65536", "127.0.0.1", "example.com:9090", "::1:9090x"] {
            assert!(address(text).is_err(), "{text}");
        }
    }
}
