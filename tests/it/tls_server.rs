//! Servers that speak TLS on a loopback port, with certificates made for the test.

use std::{
    future::Future,
    net::SocketAddr,
    sync::{
        Arc,
        atomic::{AtomicUsize, Ordering::SeqCst},
    },
};

use h2::{
    Reason,
    server::{SendResponse, handshake},
};
use rcgen::{BasicConstraints, CertificateParams, IsCa, Issuer, KeyPair};
use rustls::{
    RootCertStore, ServerConfig,
    pki_types::{CertificateDer, PrivateKeyDer, PrivatePkcs8KeyDer},
    server::WebPkiClientVerifier,
};
use tokio::{
    io::{AsyncReadExt, AsyncWriteExt},
    net::{TcpListener, TcpStream},
    task::JoinHandle,
};
use tokio_rustls::{TlsAcceptor, server::TlsStream};
use webex_events::ClientBuilder;

use crate::support::builder;

/// An authority and what it issued.
pub(crate) struct Authority {
    issuer: Issuer<'static, KeyPair>,
    root: CertificateDer<'static>,
    /// The root certificate.
    pub(crate) pem: String,
}

impl Authority {
    pub(crate) fn new() -> Self {
        let key = KeyPair::generate().unwrap();
        let mut params = CertificateParams::new(Vec::new()).unwrap();
        params.is_ca = IsCa::Ca(BasicConstraints::Unconstrained);
        let root = params.self_signed(&key).unwrap();
        let (pem, root) = (root.pem(), root.der().clone());
        Self { issuer: Issuer::new(params, key), root, pem }
    }

    fn issue(&self, names: &[&str]) -> (rcgen::Certificate, KeyPair) {
        let key = KeyPair::generate().unwrap();
        let names: Vec<_> = names.iter().map(|&name| name.to_owned()).collect();
        let certificate = CertificateParams::new(names).unwrap().signed_by(&key, &self.issuer).unwrap();
        (certificate, key)
    }

    /// A client certificate with its key, in PEM form.
    pub(crate) fn identity(&self) -> String {
        let (certificate, key) = self.issue(&["exporter.example"]);
        format!("{}{}", certificate.pem(), key.serialize_pem())
    }

    /// A server for 127.0.0.1 and `localhost`; `clients` is the authority of client certificates that it requires.
    fn server(&self, alpn: &[&str], clients: Option<&Authority>) -> ServerConfig {
        let (certificate, key) = self.issue(&["127.0.0.1", "localhost"]);
        let key = PrivateKeyDer::Pkcs8(PrivatePkcs8KeyDer::from(key.serialize_der()));
        let provider = Arc::new(rustls::crypto::aws_lc_rs::default_provider());
        let builder = ServerConfig::builder_with_provider(Arc::clone(&provider))
            .with_safe_default_protocol_versions()
            .unwrap();
        let builder = match clients {
            Some(clients) => {
                let mut roots = RootCertStore::empty();
                roots.add(clients.root.clone()).unwrap();
                let verifier = WebPkiClientVerifier::builder_with_provider(Arc::new(roots), provider);
                builder.with_client_cert_verifier(verifier.build().unwrap())
            }
            None => builder.with_no_client_auth(),
        };
        let mut config = builder.with_single_cert(vec![certificate.der().clone()], key).unwrap();
        config.alpn_protocols = alpn.iter().map(|name| name.as_bytes().to_vec()).collect();
        config
    }
}

/// A server that runs until it is dropped.
pub(crate) struct TlsServer {
    address: SocketAddr,
    pub(crate) authority: Authority,
    requests: Arc<AtomicUsize>,
    task: JoinHandle<()>,
}

impl TlsServer {
    /// Sends one response on each connection of HTTP/1.1.
    pub(crate) async fn http1(
        clients: Option<&Authority>,
        script: impl Fn(usize) -> Vec<u8> + Send + Sync + 'static,
    ) -> Self {
        let script = Arc::new(script);
        Self::start(&["http/1.1"], clients, move |mut stream: TlsStream<TcpStream>, requests| {
            let script = Arc::clone(&script);
            async move {
                let mut head = Vec::new();
                while !head.ends_with(b"\r\n\r\n") {
                    let Ok(byte) = stream.read_u8().await else { return };
                    head.push(byte);
                }
                let _ = stream.write_all(&script(requests.fetch_add(1, SeqCst))).await;
                let _ = stream.shutdown().await;
            }
        })
        .await
    }

    /// Responds to each request of HTTP/2 with the headers, the chunks, and the end that the script gives.
    pub(crate) async fn http2(script: impl Fn(usize) -> Reply + Send + Sync + 'static) -> Self {
        let script = Arc::new(script);
        Self::start(&["h2"], None, move |stream: TlsStream<TcpStream>, requests| {
            let script = Arc::clone(&script);
            async move {
                let Ok(mut connection) = handshake(stream).await else { return };
                while let Some(Ok((_, respond))) = connection.accept().await {
                    script(requests.fetch_add(1, SeqCst)).send(respond);
                }
            }
        })
        .await
    }

    async fn start<F: Future<Output = ()> + Send + 'static>(
        alpn: &[&str],
        clients: Option<&Authority>,
        serve: impl Fn(TlsStream<TcpStream>, Arc<AtomicUsize>) -> F + Send + Sync + 'static,
    ) -> Self {
        let authority = Authority::new();
        let acceptor = TlsAcceptor::from(Arc::new(authority.server(alpn, clients)));
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let address = listener.local_addr().unwrap();
        let requests = Arc::new(AtomicUsize::new(0));
        let (count, serve) = (Arc::clone(&requests), Arc::new(serve));
        let task = tokio::spawn(async move {
            while let Ok((stream, _)) = listener.accept().await {
                let (handshake, count, serve) =
                    (acceptor.accept(stream), Arc::clone(&count), Arc::clone(&serve));
                tokio::spawn(async move {
                    if let Ok(stream) = handshake.await {
                        serve(stream, count).await;
                    }
                });
            }
        });
        Self { address, authority, requests, task }
    }

    /// The base URL.
    pub(crate) fn url(&self) -> String {
        format!("https://{}/v1", self.address)
    }

    /// A client that trusts the server.
    pub(crate) fn builder(&self) -> ClientBuilder {
        builder(&self.url()).root_certificate(self.authority.pem.as_bytes())
    }

    pub(crate) fn count(&self) -> usize {
        self.requests.load(SeqCst)
    }
}

impl Drop for TlsServer {
    fn drop(&mut self) {
        self.task.abort();
    }
}

/// A response of HTTP/2.
pub(crate) struct Reply {
    pub(crate) headers: Vec<(&'static str, String)>,
    pub(crate) body: Vec<u8>,
    /// The code of `RST_STREAM`; none means that the stream ends as it should.
    pub(crate) reset: Option<Reason>,
}

impl Reply {
    fn send(self, mut respond: SendResponse<bytes::Bytes>) {
        let mut response = http::Response::builder().status(200);
        for (name, value) in &self.headers {
            response = response.header(*name, value);
        }
        let Ok(mut stream) = respond.send_response(response.body(()).unwrap(), false) else { return };
        let _ = stream.send_data(self.body.into(), self.reset.is_none());
        if let Some(reason) = self.reset {
            stream.send_reset(reason);
        }
    }
}
