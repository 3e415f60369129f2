use super::*;

fn moved(status: u16, location: &str) -> http::Response<()> {
    http::Response::builder().status(status).header(LOCATION, location).body(()).unwrap()
}

#[test]
fn a_redirect_within_the_origin_is_followed() {
    let from = Url::parse("https://webexapis.com/v1/events?max=5").unwrap();
    for (location, target) in [
        ("/v2/events", "https://webexapis.com/v2/events"),
        ("events?max=6", "https://webexapis.com/v1/events?max=6"),
        ("https://webexapis.com:443/x", "https://webexapis.com/x"),
        ("//webexapis.com/x", "https://webexapis.com/x"),
    ] {
        for status in [301, 302, 303, 307, 308] {
            assert_eq!(redirect(&from, &moved(status, location)).unwrap().as_str(), target);
        }
        assert_eq!(redirect(&from, &moved(300, location)), None);
    }
}

#[test]
fn a_redirect_that_leaves_the_origin_is_not_followed() {
    let from = Url::parse("https://webexapis.com/v1/events").unwrap();
    for location in [
        "http://webexapis.com/v1/events",
        "https://webexapis.com:8443/",
        "https://example.com/",
        "//example.com/",
        "https://user@webexapis.com/",
        "blob:https://webexapis.com/x",
        "data:text/plain,x",
        "https://",
    ] {
        assert_eq!(redirect(&from, &moved(302, location)), None, "{location}");
    }
}

#[test]
fn a_url_that_is_too_long_is_an_invalid_query() {
    let url = Url::parse(&format!("https://webexapis.com/v1/events/{}", "a".repeat(70_000))).unwrap();
    assert!(matches!(uri(&url), Err(Error::Query(_))));
}
