//! The message for an invalid command line, in one line.

use std::ffi::OsString;

use clap::error::ErrorKind;

use crate::{
    cli::{Unparsed, help},
    error::Failure,
};

pub(super) fn of(error: clap::Error, arguments: &[OsString]) -> Unparsed {
    let mut words = arguments.iter().filter_map(|argument| argument.to_str());
    let subcommand = words.find(|word| help::text(word).is_some()).unwrap_or_default();
    match error.kind() {
        ErrorKind::DisplayHelp
        | ErrorKind::DisplayVersion
        | ErrorKind::DisplayHelpOnMissingArgumentOrSubcommand => Unparsed::Shown(error),
        _ => Unparsed::Refused(Failure::usage(one_line(&error.render().to_string(), subcommand))),
    }
}

/// Joins clap's message into one line, without the usage, which is in the help.
fn one_line(rendered: &str, subcommand: &str) -> String {
    let parts = rendered
        .split("\n\n")
        .flat_map(|part| part.split("tip: ").map(str::to_owned).collect::<Vec<_>>())
        .map(|part| suggestion(&part.split_whitespace().collect::<Vec<_>>().join(" ")))
        .filter(|part| {
            let is_noise = |noise: &&str| part.starts_with(*noise);
            !part.is_empty() && !["Usage:", "For more information", "to pass '"].iter().any(is_noise)
        })
        .collect::<Vec<_>>()
        .join("; ");
    let help = if subcommand.is_empty() {
        "webex-events --help".to_owned()
    } else {
        format!("webex-events {subcommand} --help")
    };
    format!("{}; see `{help}`", parts.strip_prefix("error: ").unwrap_or(&parts))
}

/// clap's suggestion, as a question.
fn suggestion(part: &str) -> String {
    match part.split_once(" exists: ").or_else(|| part.split_once(" exist: ")) {
        Some((start, names)) if start.contains("similar") => format!("did you mean {names}?"),
        // The form of a range in Rust.
        _ => match part.split_once(" is not in ") {
            Some((start, range)) if range.contains("..=") => {
                format!("{start} is not between {}", range.replace("..=", " and "))
            }
            _ => part.to_owned(),
        },
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_message_of_several_lines_becomes_one() {
        for (rendered, subcommand, expected) in [
            (
                "error: unexpected argument '--foo' found\n\n  tip: to pass '--foo' as a value, use '-- --foo'\n\n\
                 Usage: webex-events export [OPTIONS]\n\nFor more information, try '--help'.\n",
                "export",
                "unexpected argument '--foo' found; see `webex-events export --help`",
            ),
            (
                "error: invalid value 'zst' for '--compress <METHOD>'\n  [possible values: gzip, zstd]\n\n  \
                 tip: a similar value exists: 'zstd'\n\nFor more information, try '--help'.\n",
                "export",
                "invalid value 'zst' for '--compress <METHOD>' [possible values: gzip, zstd]; did you mean 'zstd'?; \
                 see `webex-events export --help`",
            ),
            (
                "error: the following required arguments were not provided:\n  <ID>\n\nUsage: x\n",
                "",
                "the following required arguments were not provided: <ID>; see `webex-events --help`",
            ),
        ] {
            assert_eq!(one_line(rendered, subcommand), expected);
        }
    }
}
