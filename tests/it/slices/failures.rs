//! Slices that fail: where they continue, and slices that are set aside.

use std::time::{Duration, Instant};

use chrono::TimeDelta;
use futures::{StreamExt, TryStreamExt, stream::FusedStream};
use webex_events::{
    Error, Slice, SliceItem,
    sandbox::{Response, When},
};

use super::{at, client, dated, day, expected, hours, ids, n, parameter, two_days};
use crate::support::{Service, body, builder, kind, ok, page, refusal, within};

#[tokio::test]
async fn after_an_error_the_slice_continues_at_its_position() {
    let sandbox = two_days(2_000)
        .fail(When::chance(0.2), Response::status(503))
        .fail(When::at([7, 20]), Response::status(403))
        .start()
        .await
        .unwrap();
    let client = builder(sandbox.base_url())
        .token(sandbox.token())
        .retry(webex_events::RetryPolicy::never())
        .build()
        .unwrap();
    let slices = hours(&day().page_size(50), 3);
    let mut stream = client.list_slices(slices.clone(), n(4));
    let (mut seen, mut closed, mut errors) = (Vec::new(), 0, 0);
    loop {
        match within(stream.next()).await {
            Some(Ok(SliceItem::Page { page, .. })) => {
                seen.extend(page.into_iter().map(|event| event.unwrap().id().to_owned()));
            }
            Some(Ok(_)) => closed += 1,
            Some(Err(error)) => {
                assert!(matches!(kind(&error).as_str(), "Api 503" | "Api 403"));
                assert!(slices.contains(stream.failed().unwrap()));
                assert!(within(stream.next()).await.is_none() && within(stream.next()).await.is_none());
                errors += 1;
                stream.resume();
                assert!(stream.failed().is_none());
            }
            None => break,
        }
    }
    seen.sort();
    assert_eq!(seen, expected(&sandbox, at("2026-01-05T00:00:00Z"), at("2026-01-06T00:00:00Z")));
    assert!(errors > 3 && closed == 8, "{errors} errors, {closed} closed");
}

#[tokio::test]
async fn a_slice_that_gets_a_504_is_requested_with_half_the_page_size() {
    let service = Service::start(|call| match call.max().as_deref() {
        Some("250") => ok(page("")),
        _ => refusal(504),
    })
    .await;
    let slices = hours(&day(), 24);
    let mut stream = service.client().list_slices(slices, n(1));
    while within(stream.try_next()).await.unwrap().is_some() {}
    assert_eq!(service.sizes().await, ["1000", "500", "250"]);
}

#[tokio::test]
async fn a_cursor_of_another_list_is_refused_unsent() {
    let sandbox = two_days(1_000).start().await.unwrap();
    let client = client(&sandbox);
    let mut slices = hours(&day().page_size(100), 12);
    let mut pages = client.list(slices[0].query()).pages();
    let foreign = within(pages.try_next()).await.unwrap().unwrap().cursor().cloned().unwrap();
    let sent = sandbox.counts().lists;
    let mut stream = client.list_slices([slices.remove(1).with_cursor(foreign)], n(1));
    let error = within(stream.next()).await.unwrap().unwrap_err();
    assert!(matches!(error, Error::Cursor { .. }), "{error}");
    let failed = Instant::now();
    for _ in 0..2 {
        stream.resume();
        assert!(within(stream.next()).await.unwrap().is_err(), "it isn't taken for an end");
    }
    assert!(
        failed.elapsed() >= Duration::from_millis(300),
        "no loop over `resume` spins: {:?}",
        failed.elapsed()
    );
    assert!(stream.stats().waited > Duration::ZERO);
    assert_eq!(sandbox.counts().lists, sent);
}

#[tokio::test]
async fn an_expired_cursor_is_an_error_of_the_cursor() {
    let sandbox = two_days(1_000).start().await.unwrap();
    let client = client(&sandbox);
    let slice = hours(&day().page_size(100), 24).remove(0);
    let mut stream = client.list_slices([slice.clone()], n(1));
    let Some(SliceItem::Page { page, .. }) = within(stream.try_next()).await.unwrap() else { panic!() };
    sandbox.expire_cursors();
    let resumed = slice.with_cursor(page.cursor().cloned().unwrap());
    let mut stream = client.list_slices([resumed.clone()], n(1));
    let error = within(stream.next()).await.unwrap().unwrap_err();
    assert!(matches!(error, Error::Cursor { .. }), "{error}");
    assert_eq!(stream.failed(), Some(&resumed));
}

/// A service of four slices of six hours, of which those at `broken` get this status.
async fn with_broken(broken: &'static [&'static str], status: u16) -> Service {
    Service::start(move |call| {
        let is_requested = |from: &&str| {
            let start = at(&format!("2026-01-05T{from}:00:00Z"));
            let requested = at(&parameter(call, "from").unwrap());
            (start - requested).num_seconds().abs() <= 60
        };
        if broken.iter().any(is_requested) {
            return refusal(status);
        }
        let start = at(&parameter(call, "from").unwrap()) + TimeDelta::hours(1);
        ok(body(&[dated(&format!("{start}"), start)]))
    })
    .await
}

#[tokio::test]
async fn a_slice_that_fails_can_be_set_aside_so_that_the_others_continue() {
    for concurrency in 1..=4 {
        let service = with_broken(&["06", "18"], 403).await;
        let slices = hours(&day(), 6);
        let mut stream = service.client().list_slices(slices.clone(), n(concurrency));
        assert!(stream.skip_failed().is_none(), "without an error it does nothing");
        let (mut skipped, mut closed, mut events) = (Vec::new(), Vec::new(), 0);
        loop {
            match within(stream.next()).await {
                Some(Ok(SliceItem::Closed { slice, .. })) => closed.push(slice),
                Some(Ok(SliceItem::Page { page, .. })) => events += page.items.len(),
                Some(Ok(_)) => {}
                Some(Err(error)) => {
                    assert_eq!(kind(&error), "Api 403");
                    let failed = stream.failed().cloned();
                    let set_aside = stream.skip_failed();
                    assert!(set_aside.is_some() && set_aside == failed);
                    assert!(stream.failed().is_none() && stream.skip_failed().is_none());
                    skipped.extend(set_aside);
                }
                None => break,
            }
        }
        skipped.sort_by_key(Slice::start);
        closed.sort_by_key(Slice::start);
        assert_eq!(skipped, [slices[1].clone(), slices[3].clone()]);
        assert_eq!(closed, [slices[0].clone(), slices[2].clone()]);
        assert_eq!((events, stream.stats().events), (2, 2));
        assert_eq!(stream.stats().requests, 4, "a slice that was set aside is still counted");
        assert_eq!(stream.open(), 0);
    }
}

#[tokio::test]
async fn the_end_of_a_stream_is_not_terminated_once_a_slice_was_set_aside() {
    let service = with_broken(&["00"], 403).await;
    let mut events = service.client().list_slices(hours(&day(), 12), n(1)).events();
    assert_eq!(kind(&within(events.next()).await.unwrap().unwrap_err()), "Api 403");
    assert!(!events.is_terminated());
    assert!(within(events.next()).await.is_none() && events.is_terminated());
    assert_eq!(events.failed().map(Slice::start), Some(at("2026-01-05T00:00:00Z")));
    assert!(events.skip_failed().is_some() && !events.is_terminated());
    assert!(within(events.next()).await.unwrap().is_ok());
    assert!(!events.is_terminated());
    assert!(within(events.next()).await.is_none() && events.is_terminated());
}

#[tokio::test]
async fn a_slice_that_was_set_aside_can_be_listed_again() {
    let sandbox = two_days(1_000).fail(When::at([2]), Response::status(403)).start().await.unwrap();
    let client = client(&sandbox);
    let mut stream = client.list_slices(hours(&day().page_size(50), 24), n(1));
    let (mut seen, mut cursor) = (Vec::new(), None);
    let set_aside = loop {
        match within(stream.next()).await.unwrap() {
            Ok(SliceItem::Page { page, .. }) => {
                cursor = page.cursor().cloned();
                seen.extend(page.into_iter().map(|event| event.unwrap().id().to_owned()));
            }
            Ok(_) => panic!("it isn't closed"),
            Err(_) => break stream.skip_failed().unwrap(),
        }
    };
    assert!(within(stream.next()).await.is_none());
    seen.extend(ids(client.list_slices([set_aside.with_cursor(cursor.unwrap())], n(1)).events()).await);
    seen.sort();
    assert_eq!(seen, expected(&sandbox, at("2026-01-05T00:00:00Z"), at("2026-01-06T00:00:00Z")));
}
