//! `man`: the manual pages.

use std::{
    fs,
    io::{self, Write as _},
    path::Path,
};

use clap::Command;
use clap_mangen::Man;

use crate::{
    cli::{
        self, ManArgs,
        help::{self, EXIT_CODES},
    },
    error::Failure,
    ui::messages,
};

pub(crate) fn run(args: &ManArgs) -> Result<(), Failure> {
    let mut program = cli::command();
    program.build();
    if let Some(folder) = &args.dir {
        return write_all(&program, folder).map_err(|error| {
            Failure::unwritable(&folder.display().to_string(), &error, "choose another folder with --dir")
        });
    }
    let name = args.command.as_deref();
    let command = name.and_then(|name| program.find_subcommand(name)).unwrap_or(&program);
    messages::data(&page(command).1)
}

fn write_all(program: &Command, folder: &Path) -> io::Result<()> {
    fs::create_dir_all(folder)?;
    let commands = program.get_subcommands().filter(|command| command.get_name() != "help");
    for command in commands.chain([program]) {
        let (name, page) = page(command);
        fs::write(folder.join(name), page)?;
    }
    Ok(())
}

/// A page, and the name of its file.
fn page(command: &Command) -> (String, Vec<u8>) {
    let text = help::text(command.get_name());
    let man = Man::new(command.clone()).manual("webex-events");
    // The section has its own heading.
    let exit_codes = EXIT_CODES.split_once("\n\n").map_or(EXIT_CODES, |(_, codes)| codes);
    let mut page = Vec::new();
    let written = man
        .render_title(&mut page)
        .and_then(|()| man.render_name_section(&mut page))
        .and_then(|()| man.render_synopsis_section(&mut page))
        .and_then(|()| match text {
            Some(text) if !text.explanation().is_empty() => {
                writeln!(page, ".SH DESCRIPTION\n{}", roff(&text.explanation()).replace("\n\n", "\n.PP\n"))
            }
            _ => man.render_description_section(&mut page),
        })
        .and_then(|()| man.render_options_section(&mut page))
        .and_then(
            |()| {
                if command.has_subcommands() { man.render_subcommands_section(&mut page) } else { Ok(()) }
            },
        )
        .and_then(|()| match text {
            Some(text) => writeln!(page, ".SH EXAMPLES\n.nf\n{}\n.fi", roff(text.examples)),
            None => Ok(()),
        })
        .and_then(|()| writeln!(page, ".SH \"EXIT STATUS\"\n.nf\n{}\n.fi", roff(exit_codes)));
    debug_assert!(written.is_ok(), "memory can be written");
    (man.get_filename(), page)
}

/// Text as roff: no line is a request, and hyphens stay hyphens when they are copied.
fn roff(text: &str) -> String {
    let line = |line: &str| {
        let line = line.replace('\\', "\\e").replace('-', "\\-");
        if line.starts_with(['.', '\'']) { format!("\\&{line}") } else { line }
    };
    text.lines().map(line).collect::<Vec<_>>().join("\n")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn text_is_no_request_of_roff() {
        assert_eq!(roff(".SH x\n'a\n--dir a\\b"), "\\&.SH x\n\\&'a\n\\-\\-dir a\\eb");
    }
}
