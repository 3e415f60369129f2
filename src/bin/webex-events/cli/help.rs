//! Texts of the help and of the manual pages, which the derived command line doesn't have.

use clap::{Command, builder::PossibleValuesParser};

/// The name of the topic of `help` that isn't a command.
pub(crate) const EXIT_CODES_TOPIC: &str = "exit-codes";

/// The help of a command after its options.
pub(crate) struct CommandText {
    command: &'static str,
    /// The purpose of the command, in full; in the long help only.
    explanation: &'static str,
    /// Lines of a shell.
    pub(crate) examples: &'static str,
    has_token: bool,
}

impl CommandText {
    /// The paragraphs that explain the command and its credentials.
    pub(crate) fn explanation(&self) -> String {
        let token = if self.has_token { TOKEN } else { "" };
        [self.explanation, token]
            .iter()
            .filter(|text| !text.is_empty())
            .copied()
            .collect::<Vec<_>>()
            .join("\n\n")
    }

    fn short(&self) -> String {
        let examples = self.examples.replace('\n', "\n  ");
        format!("{HEADING}Examples:{RESET}\n  {examples}\n\n{EXIT_CODES_HINT}")
    }

    fn long(&self) -> String {
        let explanation = self.explanation();
        let gap = if explanation.is_empty() { "" } else { "\n\n" };
        format!("{explanation}{gap}{}", self.short())
    }
}

/// The texts of a command, if it has any.
pub(crate) fn text(command: &str) -> Option<&'static CommandText> {
    TEXTS.iter().find(|text| text.command == command)
}

/// Adds the texts to the commands.
pub(super) fn add(mut command: Command) -> Command {
    let names: Vec<_> = command.get_subcommands().map(|command| command.get_name().to_owned()).collect();
    for name in &names {
        if let Some(text) = text(name) {
            command = command.mut_subcommand(name, |command| {
                command.after_help(text.short()).after_long_help(text.long())
            });
        }
    }
    let topics = names.into_iter().filter(|name| name != "help").chain([EXIT_CODES_TOPIC.to_owned()]);
    let topics: Vec<_> = topics.collect();
    let pages: Vec<_> = topics.iter().filter(|topic| *topic != EXIT_CODES_TOPIC).cloned().collect();
    command
        .help_template(MAIN)
        .mut_subcommand("help", |help| {
            help.mut_arg("topic", |topic| topic.value_parser(PossibleValuesParser::new(topics)))
        })
        .mut_subcommand("man", |man| {
            man.mut_arg("command", |command| command.value_parser(PossibleValuesParser::new(pages)))
        })
}

// The styles of clap's own headings. They are removed where the output has no colours.
const HEADING: &str = "\u{1b}[1m\u{1b}[4m";
const RESET: &str = "\u{1b}[0m";

/// The help of the program fits a terminal of 24 lines, with the commands at the end.
const MAIN: &str = "\
{about-with-newline}
{usage-heading} {usage}

\u{1b}[1m\u{1b}[4mOptions of every command:\u{1b}[0m
  -h, --help; -V, --version; -q, --quiet; -v, --verbose; --color <WHEN>;
  --progress <WHEN>; --log-format <FORMAT>. `help <COMMAND>` explains them.

\u{1b}[1m\u{1b}[4mCommands:\u{1b}[0m
{subcommands}

Try it without an account: webex-events export --sandbox 1000 -o events.ndjson";

const EXIT_CODES_HINT: &str = "\
Exit codes: 0 complete, 2 usage, 69 unavailable, 74 output, 75 stopped and
resumable, 77 refused, 78 settings, 130 and 143 after a signal. They are
explained by `webex-events help exit-codes`.";

const TEXTS: &[CommandText] = &[
    CommandText {
        command: "export",
        explanation: EXPORT,
        examples: "\
webex-events export --sandbox 1000 -o events.ndjson
webex-events export --from 7d -o events.ndjson
webex-events export --from yesterday --to today --resource messages,rooms -o day.ndjson.gz
webex-events export --from 89d --slice 6h --compress zstd -o archive/
webex-events export --from 30d --slice 1d -o daily/ --extend
webex-events export --from 2026-01-01 --to 2026-02-01 --slice 1d -o january/
webex-events export --from 1d --resource messages --type deleted | jq .data",
        has_token: true,
    },
    CommandText {
        command: "follow",
        explanation: FOLLOW,
        examples: "\
webex-events follow --from 89d -o live/
webex-events follow -o live/ --metrics 9090 --max-lag 15m
webex-events follow -o - --checkpoint position.json | ./load",
        has_token: true,
    },
    CommandText {
        command: "plan",
        explanation: "",
        examples: "\
webex-events plan --from 89d
webex-events plan --from 89d --slice 1d --events-per-day 200000
webex-events plan -o daily/ --extend
webex-events plan --from 7d --json | jq .least_requests",
        has_token: false,
    },
    CommandText {
        command: "verify",
        explanation: VERIFY,
        examples: "\
webex-events verify archive/
webex-events verify archive/ --against-service --from 7d
webex-events verify archive/ --repair
webex-events verify archive/ --json | jq .problems",
        has_token: true,
    },
    CommandText {
        command: "get",
        explanation: "",
        examples: "\
webex-events get Y2lzY29zcGFyazovL3VzL0VWRU5UL2JiY2UxYWQ4
webex-events get \"$id\" | jq .data",
        has_token: true,
    },
    CommandText {
        command: "doctor",
        explanation: DOCTOR,
        examples: "\
webex-events doctor
webex-events doctor --sandbox
webex-events doctor -o archive/ --token-file token.txt
webex-events doctor --json | jq .checks[].advice",
        has_token: true,
    },
    CommandText {
        command: "login",
        explanation: LOGIN,
        examples: "\
webex-events login --oauth-store token.json
webex-events login --oauth-store token.json --no-browser
webex-events login --oauth-store token.json --device",
        has_token: false,
    },
    CommandText {
        command: "logout",
        explanation: LOGOUT,
        examples: "webex-events logout --oauth-store token.json",
        has_token: false,
    },
    CommandText {
        command: "sandbox",
        explanation: SANDBOX,
        examples: "\
webex-events sandbox
webex-events sandbox --events 100000 --rate-limit 300 --fail-every 20
webex-events sandbox --oauth --token-lifetime 30s",
        has_token: false,
    },
    CommandText {
        command: "completions",
        explanation: COMPLETIONS,
        examples: "\
webex-events completions bash > \\
    ~/.local/share/bash-completion/completions/webex-events
webex-events completions fish > ~/.config/fish/completions/webex-events.fish
webex-events completions zsh > ~/.zfunc/_webex-events",
        has_token: false,
    },
    CommandText {
        command: "man",
        explanation: MAN,
        examples: "\
webex-events man export | man -l -
webex-events man --dir ~/.local/share/man/man1",
        has_token: false,
    },
];

const COMPLETIONS: &str = "\
The script goes to stdout. Put it where the shell looks for it, in a folder that you make if it is missing, \
and start a new shell:

bash: ~/.local/share/bash-completion/completions/webex-events, which needs the package \
bash-completion, or add `source <(webex-events completions bash)` to ~/.bashrc.

fish: ~/.config/fish/completions/webex-events.fish.

zsh: a file _webex-events in a folder of $fpath, such as ~/.zfunc, with `fpath+=~/.zfunc` before \
`compinit` in ~/.zshrc.

PowerShell: add the script to the file $PROFILE. Elvish: add it to ~/.config/elvish/rc.elv.";

const MAN: &str = "\
Without --dir, one page goes to stdout: that of COMMAND, or that of the program. With --dir, all pages are \
written to a folder, as webex-events.1, webex-events-export.1 and so on. `man` finds them in the folder \
man1 of each folder that `manpath` prints: ~/.local/share/man/man1 for one user, /usr/local/share/man/man1 \
for all.";

const TOKEN: &str = "\
The access token is read from the environment variable WEBEX_ACCESS_TOKEN, or from the file of \
--token-file. That file is read before each request, so that it can be replaced while the program runs.

With --oauth-store, the program renews the token itself. `login` makes that file; one with only the \
refresh token, alone on a line or as {\"refresh_token\": \"…\"}, is enough. Each renewal replaces it. The \
client secret is read from WEBEX_CLIENT_SECRET, or from the file of --client-secret-file.

A secret is never an argument, because every user of the machine can see arguments.";

/// The text of `help exit-codes`, and a section of the manual pages.
pub(crate) const EXIT_CODES: &str = "Exit codes:

    0  complete; also when the reader of a pipe has closed it
    2  usage: wrong arguments
   69  unavailable: the service can't be reached, fails, or sends an unusable
       response; or the system has no threads left
   74  output: it can't be written, is closed, or existing files are damaged; or
       the file of --oauth-store can't be written
   75  stopped: a temporary failure of the service after some events were
       written, another process is writing there, what was verified isn't
       complete, or nobody completed a login in time; run it again
   77  refused: the service refuses the token or the request (401, 403), or
       the access was denied in a login
   78  settings: no token, an invalid token, or an invalid setting
  130  interrupted (SIGINT)
  143  terminated (SIGTERM)";

const EXPORT: &str = "\
Each line is one event, byte for byte as the service sent it; only line breaks between the tokens of \
its JSON become spaces. The output contains nothing but events.

-o FILE writes FILE.part, and keeps the position in the list in FILE.cursor. FILE is replaced when the \
list is complete and on disk, so it is always either the old file or the complete new one. After any \
interruption, the same command resumes after the last commit. Devices and pipes are written directly.

-o FOLDER with --from writes one file for each time slice, named by its range, and ledger.json, which \
lists the complete files with counts and SHA-256. After any interruption, the same command resumes with \
the range that it had at first, even if --from is relative. A command with another request is refused, \
and so is a second process. `verify` checks the folder.

Several names for --resource or --type, separated by commas or in options of their own, mean one list for \
each resource and type. In a FILE and on stdout the lists come one after the other: for each resource in \
the order given, each type in the order given; without --to, all of them end when the export starts. In \
a FOLDER all lists of a slice go into its one file, their pages in the order in which they arrive. Each \
list resumes at its own position.

A TIME is a span before now (90m, 12h, 7d, 2w, \"7 days ago\", \"2 hours ago\"), now, today or yesterday \
(the start of the day), a date (its start), or RFC 3339. Days start at 00:00 UTC, and relative times use \
the service's clock.

--extend continues a folder, for example every day: up to the service's time less --settle, with new \
slices only. The last slice is read again if it gets longer, so that late events aren't missed; its old \
file stays until the new one, which has its events too, is complete. --to can't be given: the end moves. \
After an interruption, the command with or without --extend resumes.

--repair reads all files of a folder first. Those that are missing or damaged are exported again, and the \
old ones are kept under names with .replaced-N instead of .ndjson.

A slice that can't be read doesn't stop the others. It is reported on stderr, in ledger.json and in \
--summary, the exit code is that of the worst failure, and the same command tries only the failed \
slices again.

Slices start at multiples of their length, counted from 1970 in UTC; the first and the last may be \
shorter. Each list request covers a margin at both ends, so that an event that was stored later than it \
was created is in the right file: 60 s, or --settle with --extend, and at most a tenth of the slice. \
Events outside of the slice and its margin are not written; the last line reports their number.

Each event is written once, even if the service lists it twice: an export into one file remembers the \
last 200,000 ids, an export into a folder all ids of a slice. If the service no longer knows a cursor, \
that slice, or the one file, restarts from the beginning.

--param adds a parameter that the service knows and this version doesn't. It is a part of the request: \
the ledger stores it, and each run needs the same. --header adds a header to each request; it isn't \
stored, because its value may be a secret, so that each run needs it again.

Malformed items don't end an export, and don't make it incomplete. They are written to FILE.malformed, \
one JSON object per line with page, index, error and raw text; without a FILE they are written to \
stderr, and if that fails, the export fails (74). The last line reports their number.";

const LOGIN: &str = "\
The user must be a compliance officer. The integration must have each requested scope, and the redirect \
URI http://127.0.0.1:8930/callback, or the one with the port of --redirect-port.

The program prints the URL of the service's page on stdout. In a terminal with a display it also opens \
the page in the browser, which then returns to this program on 127.0.0.1. If the browser is on another \
machine, use --no-browser, and paste the URL of the page that it can't load.

With --device, the program prints a URL and, on the next line, a code to enter there. The integration \
needs four redirect URIs for that, with a, d, k and r for the X: \
https://oauth-helper-X.wbx2.com/helperservice/v1/actions/device/callback

The tokens are stored when the login is complete, readable by you only. An old file is replaced then.

The client id and secret are shown once when the integration is made at developer.webex.com. The secret \
is read from WEBEX_CLIENT_SECRET, or from the file of --client-secret-file; it is never an argument, \
because every user of the machine can see arguments.";

const LOGOUT: &str = "\
The file with the tokens and its lock are removed. The service is not told: it accepts the tokens until \
they expire, or until an administrator deletes the authorization of the integration. Stop the programs \
that use the file before: a renewal writes it again.";

const SANDBOX: &str = "\
The sandbox serves on this machine only, until it is interrupted, and prints what a client needs. The \
same options give the same events, byte for byte if --from and --to are dates or RFC 3339 times, and \
faults on the same requests.";

const DOCTOR: &str = "\
The checks are, in this order: the settings, the connection to the service, the token, its permissions, \
this machine's clock against the service's, the age of the oldest events that can be listed, and the rate \
limit. With -o they include the folder: whether files in it can be written, synced to disk, renamed and \
locked, and whether there is enough space. The checks send a few requests for one event each, and leave \
no files.

Each line of stdout has the result of one check: ok, warn, fail, or skip if an earlier failure prevents \
the check, and advice. With --log-format json it is a JSON object with check, outcome, found and \
advice. The exit code is that of the first failure.";

const VERIFY: &str = "\
Every file in the ledger is read and checked: its length, its SHA-256, that each line is an event in \
the file's range, and that no id occurs twice. Each problem is reported on a line of its own.

With --against-service the events are listed again, with the filters from the ledger, and ids are \
compared both ways. Adjacent files are listed as one range; if that fails, each file is listed \
separately. A range that can't be listed is reported, and the rest is compared. --from and --to limit \
the comparison. Events that the service stored after the export are reported as missing from the file; \
events that the service has deleted since are reported as no longer listed.

With --repair, missing and damaged files are exported again, and with --against-service those that lack \
events; these keep the events that they have. An old file stays until the new one is complete, and is kept \
then under a name with .replaced-N instead of .ndjson. The hour in which a follower was stopped is read \
again by the follower. After an interruption, the same command continues.

A folder can be verified while an export writes to it: the ledger is read again before a problem is \
reported. If a problem remains while another process writes to the folder, the exit code is 75.";

const FOLLOW: &str = "\
-o FOLDER writes one file for each hour in which events were created, named by its range. A file gets \
its final name --settle after the end of its hour, when no more events are expected. ledger.json has the \
checkpoint, which is committed together with the files: after any interruption, the same command \
resumes, and each event is in the files once.

-o - writes to stdout. With --checkpoint FILE, the checkpoint is stored in that file after the events \
are written: after a kill some events are repeated, and none is lost. A run that resumes first writes an \
empty line, unless the run before it completed its last line. It ends when the reader closes the pipe.

Several names for --resource or --type, separated by commas or in options of their own, mean one list for \
each resource and type. All lists are requested at each interval, and share the output and the \
checkpoint; an hour ends when all lists have settled.

Temporary errors don't end it: it waits for 30 s, and twice as long each time, up to 5 min. A refusal \
does (77), such as a revoked token, or a checkpoint that is older than the oldest events that can be \
listed.";
