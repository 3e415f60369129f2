//! The feature `rustls-no-provider`: the application chooses the cryptography provider.
#![cfg(all(feature = "rustls-no-provider", not(feature = "tls")))]

use webex_events::{Client, Error};

/// One test for both states: a provider is installed for the whole process, once.
#[test]
fn a_missing_provider_is_a_setting_and_one_that_is_installed_is_used() {
    for base_url in ["https://webexapis.com/v1", "http://127.0.0.1:1/v1"] {
        let client = Client::builder().token("token").base_url(base_url).build();
        assert!(matches!(&client, Err(Error::Config(text)) if text.contains("provider")), "{client:?}");
    }
    rustls::crypto::aws_lc_rs::default_provider().install_default().unwrap();
    Client::new("token").unwrap();
}
