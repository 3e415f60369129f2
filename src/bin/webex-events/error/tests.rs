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
