//! Link headers are untrusted: a valid link is followed byte for byte, any other is an
//! error after the events of its page, and the token is sent to no other origin.

use std::sync::{Arc, Mutex};

use futures::StreamExt;
use webex_events::ListEvents;

use crate::support::{
    self, Served, Service, TOKEN, builder, error, event, http, labels, ok, page, read, read_some, within,
};

/// A service whose first page has these `Link` headers, in which `{base}` and `{host}` are replaced by its own,
/// and whose second page ends the list.
async fn linked(lines: &[&str]) -> Served {
    let lines: Vec<String> = lines.iter().map(|&line| line.to_owned()).collect();
    Served::start(move |n, head| {
        if n > 0 {
            return http(200, &[], page("b"));
        }
        let host = head.header("Host").unwrap();
        let fill =
            |line: &String| line.replace("{base}", &format!("http://{host}/v1")).replace("{host}", host);
        let lines: Vec<String> = lines.iter().map(fill).collect();
        let headers: Vec<(&str, &str)> = lines.iter().map(|line| ("Link", &**line)).collect();
        http(200, &headers, page("a"))
    })
    .await
}

/// The items of a list of such a service, and the targets that it requested.
async fn list(lines: &[&str]) -> (Vec<String>, Vec<String>) {
    let served = linked(lines).await;
    let read = read(served.client().list(ListEvents::new())).await;
    (read, served.targets())
}

#[tokio::test]
async fn every_form_of_a_next_link_is_followed() {
    for line in [
        "<{base}/events?cursor=1>; rel=\"next\"",
        "<{base}/events?cursor=1>;rel=\"next\"",
        "<{base}/events?cursor=1>;rel=next",
        "<{base}/events?cursor=1> ; rel = next",
        "<{base}/events?cursor=1>; REL=\"NEXT\"",
        "<{base}/events?cursor=1>; Rel=Next",
        "<{base}/events?cursor=1>; rel=\"last next\"",
        "<{base}/events?cursor=1>; rel=\"next  last\"",
        "<{base}/events?cursor=1>; rel=\"https://example.com/rels/a next\"",
        "<{base}/events?cursor=1>; title=\"a, b; rel=prev\"; rel=next",
        "<{base}/events?cursor=1>; title=\"a \\\"quoted\\\" <title>, \\\\\"; rel=next",
        "<{base}/events?cursor=1>; rel=next; rel=prev",
        "<{base}/events?cursor=1>; rel=next; type=\"text/html\"; hreflang=de; title*=UTF-8''n%c3%a4chste",
        "<{base}/events?cursor=1>; crossorigin; rel=next",
        "<{base}/events?cursor=1>;; rel=next;",
        ", ,<{base}/events?cursor=1>; rel=next, ,",
        "<{base}/events?cursor=0>; rel=prev, <{base}/events?cursor=1>; rel=next",
        "<{base}/events?cursor=1>; rel=next, <{base}/events?cursor=0>; rel=prev",
        "<{base}/events>; rel=first,<{base}/events?cursor=1>; rel=next,<https://example.com/>; rel=help",
        "<{base}/events?a=,;&b=x,y>; rel=next",
        "<{base}/events?cursor=1>; rel=next, <{base}/events?cursor=1>; rel=next",
        "<{base}/events?cursor=1>; rel=\"next next\"",
        "<https://example.com/other>; rel=\"nexts\", <{base}/events?cursor=1>; rel=next",
        "<https://example.com/other>; rel=next-archive, <{base}/events?cursor=1>; rel=next",
        "<https://example.com/other>, <{base}/events?cursor=1>; rel=next",
    ] {
        let (read, targets) = list(&[line]).await;
        assert_eq!((read, targets.len()), (labels("a b"), 2), "{line}");
    }
}

#[tokio::test]
async fn relative_targets_are_resolved_against_the_page() {
    for (line, target) in [
        ("</v1/events?cursor=1>; rel=next", "/v1/events?cursor=1"),
        ("<?cursor=1>; rel=next", "/v1/events?cursor=1"),
        ("<events?cursor=1>; rel=next", "/v1/events?cursor=1"),
        ("<./events?cursor=1>; rel=next", "/v1/events?cursor=1"),
        ("<../v2/events?cursor=1>; rel=next", "/v2/events?cursor=1"),
        ("<//{host}/v1/events?cursor=1>; rel=next", "/v1/events?cursor=1"),
        ("</>; rel=next", "/"),
        ("</elsewhere>; rel=next", "/elsewhere"),
    ] {
        let (read, targets) = list(&[line]).await;
        assert_eq!((read, &*targets[1]), (labels("a b"), target), "{line}");
    }
}

#[tokio::test]
async fn all_header_lines_count() {
    let next = "<{base}/events?cursor=1>; rel=next";
    for lines in [
        &["<{base}/events>; rel=first", next][..],
        &[next, "<{base}/events>; rel=first"],
        &["", next],
        &["<{base}/events>; rel=first", "<{base}/x>; rel=prev", "<{base}/y>; rel=last", next],
        &[next, next],
    ] {
        assert_eq!(list(lines).await.0, ["a", "b"], "{lines:?}");
    }
}

#[tokio::test]
async fn a_header_without_a_next_link_ends_the_list() {
    for line in [
        "",
        "<{base}/events?cursor=1>; rel=prev",
        "<{base}/events?cursor=1>; rel=\"first last\"",
        "<{base}/events?cursor=1>",
        "<{base}/events?cursor=1>; rev=next",
        "<{base}/events?cursor=1>; rel=prev; rel=next",
        "<{base}/events?cursor=1>; title=\"rel=next\"",
        "<{base}/events?cursor=1>; title=\"; rel=next\"; rel=prev",
        "<{base}/events?cursor=1>; anchor=\"https://example.com/\"; rel=next",
        "<{base}/events?cursor=1>; rel=next; anchor=\"/v1/rooms\"",
    ] {
        let (read, targets) = list(&[line]).await;
        assert_eq!((read, targets.len()), (labels("a"), 1), "{line}");
    }
}

#[tokio::test]
async fn a_next_url_is_requested_byte_for_byte() {
    for target in [
        "/v1/events?cursor=a%2fb%2Bc%20d+e&max=100",
        "/v1/events?cursor=a%2Fb%2bc",
        "/v1/events?max=null&cursor=1",
        "/v1/events?before&after=&cursor=Y2lz==",
        "/v1/events?cursor=1&cursor=1&&",
        "/v1/events?&cursor=1",
        "/v1/events?cursor",
        "/v1/events?a=b?c=d/e:f@g",
        "/v1/events?a=!$()*,;~-._",
        "/v1/events?cursor=%E4%BD%A0%zz%",
        "/v1/events?resource=messages&from=2026-01-05T09:00:00.000Z&cursor=x",
        "/v1/events?",
        "/v1//events?cursor=1",
        "/v1/events/?cursor=1",
        "/V1/Events;v=1?cursor=1",
        "/v1/%65vents?cursor=1",
    ] {
        let (read, targets) = list(&[&format!("<http://{{host}}{target}>; rel=next")]).await;
        assert_eq!((read, &*targets[1]), (labels("a b"), target));
    }
}

#[tokio::test]
async fn a_next_url_that_would_be_altered_is_refused_and_never_sent() {
    for target in [
        "/v1/a/../events?cursor=1",
        "/v1/./events?cursor=1",
        "/v1/%2e%2e/events?cursor=1",
        "/v1/events/..?cursor=1",
        "/v1/events?cursor='1'",
        "/v1/events?cursor=1#part",
        "/v1/events?cursor=1#",
        "/v1/events?cursor=a b",
        "/v1/events?cursor=\u{e9}",
        "/v1\\events?cursor=1",
        "/v1/events?cursor=\"1\"",
        "/v1/events?cursor=<1",
    ] {
        let (read, targets) = list(&[&format!("<http://{{host}}{target}>; rel=next")]).await;
        assert_eq!(
            (read, targets.len()),
            (labels("a").into_iter().chain(["Link Malformed".into()]).collect(), 1),
            "{target}"
        );
    }
}

#[tokio::test]
async fn any_next_url_is_sent_as_it_is_or_not_at_all() {
    let current = Arc::new(Mutex::new((Vec::new(), Vec::new())));
    let state = Arc::clone(&current);
    let served = Served::start(move |_, head| {
        let (target, requests) = &mut *state.lock().unwrap();
        requests.push(head.target().to_owned());
        let mut response = b"HTTP/1.1 200 OK\r\nConnection: close\r\n".to_vec();
        if requests.len() == 1 {
            response.extend(format!("Link: <http://{}", head.header("Host").unwrap()).bytes());
            response.extend(&*target);
            response.extend(b">; rel=next\r\n");
        }
        response.extend(b"\r\n");
        response.extend(page(if requests.len() == 1 { "a" } else { "b" }).bytes());
        response
    })
    .await;
    let client = served.client();
    for byte in (0x20_u8..=0xff).filter(|&byte| byte != b'>' && byte != 0x7f) {
        for place in ["/v1/events?cursor=a\u{1}b", "/v1/ev\u{1}ents?cursor=1"] {
            let sent: Vec<u8> = place.bytes().map(|it| if it == 1 { byte } else { it }).collect();
            *current.lock().unwrap() = (sent.clone(), Vec::new());
            let read = read(client.list(ListEvents::new())).await;
            let (_, requests) = current.lock().unwrap().clone();
            match requests.get(1) {
                Some(target) => assert_eq!((read, target.as_bytes()), (labels("a b"), &*sent)),
                None => assert_eq!(read, ["a", "Link Malformed"], "{byte:#x} in {place:?}"),
            }
        }
    }
}

#[tokio::test]
async fn a_link_to_a_foreign_origin_is_refused_and_nothing_is_sent() {
    let foreign = Served::start(|_, _| http(200, &[], page("stolen"))).await;
    let port = foreign.origin().rsplit(':').next().unwrap().to_owned();
    for line in [
        "<http://127.0.0.1:{port}/v1/events?cursor=1>; rel=next",
        "<//127.0.0.1:{port}/v1/events?cursor=1>; rel=next",
        "<http://localhost:{port}/v1/events?cursor=1>; rel=next",
        "<http://127.0.0.2:{port}/v1/events?cursor=1>; rel=next",
        "<http://127.0.0.1/v1/events?cursor=1>; rel=next",
        "<https://{host}/v1/events?cursor=1>; rel=next",
        "<https://127.0.0.1:{port}/v1/events?cursor=1>; rel=next",
        "<ftp://{host}/v1/events?cursor=1>; rel=next",
        "<ws://{host}/v1/events?cursor=1>; rel=next",
        "<blob:http://{host}/v1/events?cursor=1>; rel=next",
        "<http://user@{host}/v1/events?cursor=1>; rel=next",
        "<http://user:password@{host}/v1/events?cursor=1>; rel=next",
        "<http://@{host}/v1/events?cursor=1>; rel=next",
        "<http://:@{host}/v1/events?cursor=1>; rel=next",
        "<//user@{host}/v1/events?cursor=1>; rel=next",
        "<http://{host}@127.0.0.1:{port}/v1/events?cursor=1>; rel=next",
        "<http://{host}.evil.example/v1/events?cursor=1>; rel=next",
        "<https://evil.example/v1/events?cursor=1>; rel=next",
    ] {
        let (read, targets) = list(&[&line.replace("{port}", &port)]).await;
        assert_eq!(read, ["a", "Link CrossOrigin"], "{line}");
        assert_eq!(targets.len(), 1, "{line}");
    }
    assert_eq!(foreign.connections(), 0);
}

#[tokio::test]
async fn other_spellings_of_a_host_lead_nowhere_else() {
    let foreign = Served::start(|_, _| http(200, &[], page("stolen"))).await;
    let port = foreign.origin().rsplit(':').next().unwrap().to_owned();
    for line in [
        "<http:/127.0.0.1:{port}/v1/events>; rel=next",
        "<http:127.0.0.1:{port}/v1/events>; rel=next",
        "<http:///127.0.0.1:{port}/v1/events>; rel=next",
        "<///127.0.0.1:{port}/v1/events>; rel=next",
        "<http:\\\\127.0.0.1:{port}/v1/events>; rel=next",
        "</\\127.0.0.1:{port}/v1/events>; rel=next",
        "<http://2130706433:{port}/v1/events>; rel=next",
        "<http://0x7f.1:{port}/v1/events>; rel=next",
        "<http://127.1:{port}/v1/events>; rel=next",
        "<http://[::1]:{port}/v1/events>; rel=next",
        "<\thttp://127.0.0.1:{port}/v1/events>; rel=next",
        "<javascript:alert(1)>; rel=next",
        "<data:,x>; rel=next",
        "<http://>; rel=next",
        "<http://{host}:{port}/v1/events>; rel=next",
    ] {
        let (read, targets) = list(&[&line.replace("{port}", &port)]).await;
        assert!(read.len() == 2 && read[1].starts_with("Link "), "{line}: {read:?}");
        assert_eq!(targets.len(), 1, "{line}");
    }
    assert_eq!(foreign.connections(), 0);
}

#[tokio::test]
async fn an_allowed_origin_is_followed_and_gets_the_token() {
    let other = Served::start(|_, _| http(200, &[], page("b"))).await;
    let link = format!("<{}/v1/events?cursor=%2f>; rel=next", other.origin());
    let service = Service::start(move |_| ok(page("a")).append_header("Link", &*link)).await;
    let client = builder(&service.url()).allow_origin(other.origin()).build().unwrap();
    assert_eq!(read(client.list(ListEvents::new())).await, ["a", "b"]);
    let heads = other.heads();
    assert_eq!(heads[0].target(), "/v1/events?cursor=%2f");
    assert_eq!(heads[0].header("Authorization"), Some(&*format!("Bearer {TOKEN}")));
    let closed = service.client();
    assert_eq!(read(closed.list(ListEvents::new())).await, ["a", "Link CrossOrigin"]);
    assert_eq!(other.connections(), 1);
}

#[tokio::test]
async fn an_allowed_origin_is_an_origin_and_no_prefix() {
    let other = Served::start(|_, _| http(200, &[], page("b"))).await;
    let link = format!("<{}/anything/else?x>; rel=next", other.origin());
    let service = Service::start(move |_| ok(page("a")).append_header("Link", &*link)).await;
    let client = builder(&service.url()).allow_origin(format!("{}/v1", other.origin())).build().unwrap();
    assert_eq!(read(client.list(ListEvents::new())).await, ["a", "b"]);
}

#[tokio::test]
async fn redirects_are_followed_within_the_origin() {
    for status in [301, 302, 303, 307, 308] {
        for location in ["/moved?cursor=1", "http://{host}/moved?cursor=1"] {
            let served = Served::start(move |n, head| {
                let location = location.replace("{host}", head.header("Host").unwrap());
                match n {
                    0 => http(status, &[("Location", &location)], ""),
                    _ => http(200, &[], page("a")),
                }
            })
            .await;
            let mut events = served.client().list(ListEvents::new());
            assert_eq!(read(&mut events).await, ["a"], "{status} to {location}");
            let heads = served.heads();
            assert_eq!(heads[1].target(), "/moved?cursor=1");
            assert_eq!(heads[1].header("Authorization"), Some(&*format!("Bearer {TOKEN}")));
        }
    }
}

#[tokio::test]
async fn links_of_a_redirected_page_are_relative_to_where_it_came_from() {
    let served = Served::start(|n, _| match n {
        0 => http(302, &[("Location", "/v2/list/events?x=1")], ""),
        1 => http(200, &[("Link", "<more?cursor=1>; rel=next")], page("a")),
        _ => http(200, &[], page("b")),
    })
    .await;
    assert_eq!(read(served.client().list(ListEvents::new())).await, ["a", "b"]);
    assert_eq!(served.targets()[2], "/v2/list/more?cursor=1");
}

#[tokio::test]
async fn redirects_to_another_origin_are_not_followed() {
    let foreign = Served::start(|_, _| http(200, &[], page("stolen"))).await;
    let port = foreign.origin().rsplit(':').next().unwrap().to_owned();
    for status in [301, 302, 303, 307, 308] {
        for location in [
            "http://127.0.0.1:{port}/v1/events",
            "//127.0.0.1:{port}/v1/events",
            "http://localhost:{port}/v1/events",
            "https://{host}/v1/events",
            "https://evil.example/",
        ] {
            let location = location.replace("{port}", &port);
            let served = Served::start(move |_, head| {
                let location = location.replace("{host}", head.header("Host").unwrap());
                http(status, &[("Location", &location)], "")
            })
            .await;
            let client = builder(&served.url()).allow_origin(foreign.origin()).build().unwrap();
            let mut events = client.list(ListEvents::new());
            let refused = error(&mut events).await;
            assert_eq!(refused.status(), Some(status));
            assert!(matches!(refused, webex_events::Error::Api(_)) && !refused.is_transient());
            assert!(within(events.next()).await.is_none());
            assert_eq!(within(client.get("a")).await.unwrap_err().status(), Some(status));
            assert_eq!(served.connections(), 2);
        }
    }
    assert_eq!(foreign.connections(), 0);
}

#[tokio::test]
async fn a_redirect_to_itself_ends() {
    let served = Served::start(|_, _| http(302, &[("Location", "/v1/events")], "")).await;
    assert_eq!(read(served.client().list(ListEvents::new())).await, ["Api 302"]);
    assert!(served.connections() < 50);
}

#[tokio::test]
async fn a_redirect_with_user_info_is_not_followed() {
    let served = Served::start(|_, head| {
        let location = format!("http://user:pw@{}/v1/events", head.header("Host").unwrap());
        http(302, &[("Location", &location)], "")
    })
    .await;
    assert_eq!(read(served.client().list(ListEvents::new())).await, ["Api 302"]);
    assert_eq!(served.connections(), 1);
}

#[tokio::test]
async fn two_different_next_links_are_ambiguous() {
    let [one, two] = ["<{base}/events?cursor=1>; rel=next", "<{base}/events?cursor=2>; rel=next"];
    let joined = format!("{one}, {two}");
    for lines in [&[one, two][..], &[&joined], &[one, "<{base}/x>; rel=prev", two], &[one, one, two]] {
        let (read, targets) = list(lines).await;
        assert_eq!(
            (read, targets.len()),
            (labels("a").into_iter().chain(["Link Ambiguous".into()]).collect(), 1)
        );
    }
}

#[tokio::test]
async fn a_header_that_can_not_be_parsed_is_malformed() {
    let good = "<{base}/events?cursor=1>; rel=next";
    for line in [
        "{base}/events?cursor=1; rel=next",
        "<{base}/events?cursor=1; rel=next",
        "<{base}/events?cursor=1>; rel=\"next",
        "<{base}/events?cursor=1>; title=\"open; rel=next",
        "<{base}/events?cursor=1> rel=next",
        "<{base}/events?cursor=1>; rel=next <{base}/events?cursor=2>; rel=next",
        "next",
        "=",
        "<{base}/events?cursor=1>; =next",
    ] {
        for lines in [&[line][..], &[good, line], &[line, good]] {
            let (read, targets) = list(lines).await;
            assert_eq!(read, ["a", "Link Malformed"], "{lines:?}");
            assert_eq!(targets.len(), 1);
        }
    }
}

#[tokio::test]
async fn a_page_with_a_bad_link_is_yielded_completely_by_pages_too() {
    let served = linked(&["<https://evil.example/>; rel=next"]).await;
    let mut pages = served.client().list(ListEvents::new()).pages();
    let page = within(pages.next()).await.unwrap().unwrap();
    assert_eq!(page.items.len(), 1);
    assert!(page.cursor().is_some(), "this isn't the last page");
    let error = within(pages.next()).await.unwrap().unwrap_err();
    assert_eq!(support::kind(&error), "Link CrossOrigin");
    assert!(within(pages.next()).await.is_none());
    assert!(pages.cursor().is_some());
}

#[tokio::test]
async fn an_empty_page_with_a_bad_link_is_not_the_end() {
    let served = Served::start(|_, _| http(200, &[("Link", "<oops")], page(""))).await;
    let mut events = served.client().list(ListEvents::new());
    assert_eq!(read(&mut events).await, ["Link Malformed"]);
    assert!(events.cursor().is_some());
}

#[tokio::test]
async fn a_bad_link_is_retried_only_by_resume() {
    let served = Served::start(|n, _| match n {
        0 => http(200, &[("Link", "<oops")], page("a b")),
        1 => http(200, &[("Link", "</v1/events?cursor=1>; rel=next")], page("a b")),
        _ => http(200, &[], page("c")),
    })
    .await;
    let mut events = served.client().list(ListEvents::new());
    assert_eq!(read(&mut events).await, ["a", "b", "Link Malformed"]);
    assert_eq!(served.connections(), 1);
    events.resume();
    assert_eq!(read(&mut events).await, ["c"]);
    assert_eq!(served.targets()[1], served.targets()[0]);
}

#[tokio::test]
async fn take_does_not_stumble_over_a_link_that_it_does_not_need() {
    let served = linked(&["<oops"]).await;
    assert_eq!(read(served.client().list(ListEvents::new()).take(1)).await, ["a"]);
    let served = linked(&["<oops"]).await;
    assert_eq!(read(served.client().list(ListEvents::new()).take(2)).await, ["a", "Link Malformed"]);
}

#[tokio::test]
async fn a_hostile_header_is_read_in_linear_time() {
    let repeat = |text: &str| text.repeat(100_000 / text.len());
    for line in [
        repeat("<"),
        repeat(","),
        repeat("<>,"),
        repeat("<a>;"),
        repeat("<a>;rel=x,"),
        format!("<a>;{}", repeat(";")),
        format!("<a>;title=\"{}", repeat("\\\"")),
        format!("<a>;title=\"{}\";rel=x", repeat("\\\\")),
        format!("<a>;rel=\"{}\"", repeat("x ")),
        repeat("</v1/events?cursor=1>;rel=next,"),
        format!("<{}>;rel=next", repeat("../")),
        format!("<{}>;rel=next", repeat("?")),
    ] {
        let served = linked(&[&line]).await;
        let read = read(served.client().list(ListEvents::new()).take(1)).await;
        assert_eq!(read, ["a"], "{}", &line[..20]);
    }
}

#[tokio::test]
async fn a_link_on_an_event_or_an_error_leads_nowhere() {
    let served = Served::start(|n, _| match n {
        0 => http(200, &[("Link", "<oops")], event("a")),
        _ => http(403, &[("Link", "</v1/events?cursor=1>; rel=next")], "{}"),
    })
    .await;
    assert_eq!(within(served.client().get("a")).await.unwrap().id(), "a");
    let mut events = served.client().list(ListEvents::new());
    assert_eq!(read_some(1, &mut events).await, ["Api 403"]);
    assert!(within(events.next()).await.is_none());
    assert_eq!(served.connections(), 2);
}
