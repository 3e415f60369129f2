//! `TransportSettings`: the settings that a transport is built from.

use std::{fmt, sync::Arc, time::Duration};

use http::{
    HeaderMap, HeaderName, HeaderValue,
    header::{ACCEPT, ACCEPT_ENCODING, USER_AGENT},
};

use super::service::HttpService;
use crate::error::{Error, Result};

/// The settings of a transport.
#[derive(Clone)]
pub(crate) struct TransportSettings {
    /// 10 s unless set; an external service has its own.
    pub(crate) connect_timeout: Option<Duration>,
    pub(crate) read_timeout: Duration,
    pub(crate) attempt_timeout: Duration,
    pub(crate) max_page_bytes: usize,
    pub(crate) user_agent: String,
    pub(crate) gzip: bool,
    pub(crate) headers: Vec<(String, String)>,
    pub(crate) proxy: Option<String>,
    pub(crate) root_certificates: Vec<Vec<u8>>,
    /// A certificate chain and its private key, in PEM form.
    pub(crate) client_identity: Option<Vec<u8>>,
    /// Replaces the built-in HTTP client.
    pub(crate) http_service: Option<Arc<dyn HttpService>>,
}

impl Default for TransportSettings {
    fn default() -> Self {
        Self {
            connect_timeout: None,
            read_timeout: Duration::from_secs(60),
            attempt_timeout: Duration::from_secs(600),
            max_page_bytes: 64 << 20,
            user_agent: concat!(env!("CARGO_PKG_NAME"), "/", env!("CARGO_PKG_VERSION")).to_owned(),
            gzip: true,
            headers: Vec::new(),
            proxy: None,
            root_certificates: Vec::new(),
            client_identity: None,
            http_service: None,
        }
    }
}

/// Header values, proxy addresses and private keys are secrets.
impl fmt::Debug for TransportSettings {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("TransportSettings")
            .field("connect_timeout", &self.connect_timeout)
            .field("read_timeout", &self.read_timeout)
            .field("attempt_timeout", &self.attempt_timeout)
            .field("max_page_bytes", &self.max_page_bytes)
            .field("user_agent", &self.user_agent)
            .field("gzip", &self.gzip)
            .field("headers", &self.headers.iter().map(|(name, _)| name).collect::<Vec<_>>())
            .field("proxy", &self.proxy.is_some())
            .field("root_certificates", &self.root_certificates.len())
            .field("client_identity", &self.client_identity.is_some())
            .field("http_service", &self.http_service.is_some())
            .finish()
    }
}

impl TransportSettings {
    /// Refuses the settings of the built-in HTTP client beside another one, which would ignore them.
    pub(super) fn check_for_service(&self) -> Result<()> {
        for (name, is_set) in [
            ("proxy", self.proxy.is_some()),
            ("connect_timeout", self.connect_timeout.is_some()),
            ("root_certificate", !self.root_certificates.is_empty()),
            ("client_identity", self.client_identity.is_some()),
        ] {
            if is_set {
                return Err(Error::config(format!(
                    "`{name}` has no effect on an `http_service`: set it in that service instead"
                )));
            }
        }
        Ok(())
    }

    /// The headers that every request has.
    pub(super) fn headers(&self) -> Result<HeaderMap> {
        let mut headers = HeaderMap::new();
        headers.insert(ACCEPT, HeaderValue::from_static("application/json"));
        headers.insert(USER_AGENT, value("user agent", &self.user_agent)?);
        if self.gzip {
            headers.insert(ACCEPT_ENCODING, HeaderValue::from_static("gzip"));
        }
        let mut own = HeaderMap::new();
        for (name, text) in &self.headers {
            let key = HeaderName::try_from(name)
                .map_err(|_| Error::config(format!("`{}` is not a header name", name.escape_debug())))?;
            if ["authorization", "host", "content-length", "transfer-encoding", "connection"]
                .contains(&key.as_str())
            {
                return Err(Error::config(format!("the header `{key}` is set by the client alone")));
            }
            let mut value = value(name, text)?;
            value.set_sensitive(true);
            own.append(key, value);
        }
        headers.extend(own);
        Ok(headers)
    }
}

fn value(name: &str, text: &str) -> Result<HeaderValue> {
    HeaderValue::try_from(text)
        .map_err(|_| Error::config(format!("the value of `{name}` can't be sent in a header")))
}
