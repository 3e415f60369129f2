//! What stands below the help of a command.

pub(super) const TOKEN: &str = "\
The access token is read from the environment variable WEBEX_ACCESS_TOKEN, or with --token-file from a \
file, again for each request, so that it can be replaced while the program runs.

With --oauth-store it is renewed by itself. The file holds the refresh token at first, alone on a line or \
as {\"refresh_token\": \"…\"}, and is replaced with each renewal. The client's secret is read from \
WEBEX_CLIENT_SECRET, or with --client-secret-file from a file.

No secret is ever an argument, since those can be seen by every user of the machine.";

pub(super) const EXIT_CODES: &str = "\
Exit codes:
    0  complete; also when the reader of a pipe closed it
    2  usage: wrong arguments
   69  unavailable: the service can't be reached, fails, or answers what can't
       be used; or the system has no threads left
   74  output: it can't be written, is closed, or what is there is damaged; or
       the file of --oauth-store can't be written
   75  stopped: the service failed for now, with a part of the events already
       written, another process is writing there, or what was verified isn't
       complete; run it again
   77  refused: the service refuses the token, or what it asks for (401, 403)
   78  settings: no token, one that can't be, or a setting that can't be
  130  interrupted (SIGINT)
  143  terminated (SIGTERM)";

pub(super) const EXPORT: &str = "\
Each line is one event, byte for byte as the service sent it; only line breaks between the tokens of \
its JSON become spaces. Nothing but events is written there.

-o FILE is written as FILE.part, with its place in FILE.cursor, and replaces FILE once the list is \
complete and on disk. Whatever goes wrong, FILE is either as it was or complete. Stopped in any way, \
the same command goes on behind the last commit. Devices and pipes are written as they are.

-o FOLDER with --from gets a file for each slice of the time, named by its range, and ledger.json, \
which says what is complete, with counts and SHA-256. Stopped in any way, the same command goes on: \
with the range that it had, however relative the words. One that asks for anything else is refused, \
as is a second process. `verify` checks the folder.

A slice that can't be read doesn't stop the others: stderr, ledger.json and --summary name it, the exit \
code is that of the worst failure, and the same command tries only those slices again.

Slices start at multiples of their length, counted from 1970 in UTC; the first and the last may be \
shorter. Each is listed with a margin of 60 s at both ends, at most a tenth of its length, so that an \
event that was stored later than it was created is in the file that it belongs to. An event that lies \
outside of the slice and its margin is in no file; the last line says how many there were.

An event is written once, even if the service gives it twice: of one file the last 200,000 ids are \
remembered, of a slice all. If the service doesn't know a place any more, that slice, or the one \
file, begins anew.

Items of the list that aren't events don't end an export, and count as complete: they are written to \
FILE.malformed, one JSON object a line with page, index, error and raw text; without a FILE to stderr, \
and if that can't be written, the export fails (74). \
The last line says how many there were.";

pub(super) const SANDBOX: &str = "\
It serves until it is interrupted, on this machine alone, and prints what a client needs. The same \
options give the same events, byte for byte if --from and --to are dates or RFC 3339 times; faults \
come at the same requests.";

pub(super) const DOCTOR: &str = "\
It tries, in this order: the settings, the way to the service, the token, what the token may do, this \
machine's clock against the service's, how far back lists reach, and the rate limit; with -o also the \
folder: whether it can be written, brings files to disk, renames and locks them, and has room. That takes \
a few requests for one event each, and leaves nothing behind.

Each line of stdout is what one check found: ok, warn, fail, or skip where an earlier failure stands in \
the way, and what to do. With --log-format json it is a JSON object with check, outcome, found and \
advice. The exit code is that of the first failure.";

pub(super) const VERIFY: &str = "\
Every file that the ledger names is read: its length, its SHA-256, that each line is an event from \
the file's range, and that no id is there twice. What is wrong is named, each in a line.

With --against-service the events are listed again, by the filters that are in the ledger, and ids \
are compared both ways. Files that follow each other are listed as one range; if that can't be \
listed, each file by itself. A range that can't be listed is named, and the rest is compared. --from \
and --to limit the comparison. Events that were stored late, after the export, are named as lacking; \
those that the service has dropped since, as not given any more.

A running export is no problem: the ledger is read again before anything is reported. Only if a \
problem remains while another process writes the folder, the exit code is 75.";

pub(super) const FOLLOW: &str = "\
-o FOLDER gets a file for each hour in which events were created, named by its range. A file gets its \
name once no more events can come for it: --settle behind the end of its hour. ledger.json has the \
place, which moves on with the files in one step: stopped in any way, the same command goes on, and \
each event is in the files once.

-o - writes to stdout, and with --checkpoint FILE keeps its place there, behind what was written: \
after a kill some events come again, and none is lost. A run that continues begins with an empty line, \
unless the run before it completed its last line. It ends when the reader closes the pipe.

Errors that can pass don't end it: it waits for 30 s, and twice as long each time up to 5 min. A \
refusal does (77), such as a token that was revoked, or a place that lies further back than lists reach.";
