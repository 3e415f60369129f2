use std::io;

use webex_events::TransportErrorKind;

use super::*;

#[test]
fn a_chain_is_one_line_that_repeats_nothing() {
    #[derive(Debug, thiserror::Error)]
    #[error("outer")]
    struct Outer(#[source] Inner);
    #[derive(Debug, thiserror::Error)]
    #[error("inner\nline")]
    struct Inner(#[source] Same);
    #[derive(Debug, thiserror::Error)]
    #[error("line")]
    struct Same;
    assert_eq!(chain(&Outer(Inner(Same))), "outer: inner line");
}

#[test]
fn an_error_of_the_system_within_a_chain_is_told_in_words_alone() {
    #[derive(Debug, thiserror::Error)]
    #[error("outer")]
    struct Outer(#[source] io::Error);
    let text = chain(&Outer(io::Error::from_raw_os_error(13)));
    assert!(text.starts_with("outer: ") && !text.contains("os error"), "{text}");
}

#[test]
fn no_message_has_a_number_of_the_system() {
    assert_eq!(one_line("no: File exists (os error 17); again (os error 2)"), "no: File exists; again");
    assert_eq!(one_line("a (os error x) (os error"), "a (os error x) (os error");
}

#[test]
fn each_kind_of_failed_connection_has_its_own_advice() {
    for (kind, word) in [
        (TransportErrorKind::Dns, "name server"),
        (TransportErrorKind::Tls, "--root-certificate"),
        (TransportErrorKind::Proxy, "environment"),
        (TransportErrorKind::Refused, "nothing listens"),
        (TransportErrorKind::TimedOut, "firewall"),
        (TransportErrorKind::Truncated, "the network"),
        (TransportErrorKind::Other, "the network"),
    ] {
        assert!(transport_advice(kind).contains(word), "{kind:?}: {}", transport_advice(kind));
    }
}

#[test]
fn the_worst_code_wins() {
    for (codes, expected) in [
        (vec![Code::Stopped, Code::Unavailable], Some(Code::Unavailable)),
        (vec![Code::Unavailable, Code::Refused, Code::Stopped], Some(Code::Refused)),
        (vec![Code::Usage], Some(Code::Usage)),
        (vec![], None),
    ] {
        assert_eq!(Code::worst(codes), expected);
    }
}
