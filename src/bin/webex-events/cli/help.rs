//! Explanations after the options of a command.

pub(super) const TOKEN: &str = "\
The access token is read from the environment variable WEBEX_ACCESS_TOKEN, or from the file of \
--token-file. That file is read before each request, so that it can be replaced while the program runs.

With --oauth-store, the program renews the token itself. At first the file contains the refresh token, \
alone on a line or as {\"refresh_token\": \"…\"}; each renewal replaces it. The client secret is read from \
WEBEX_CLIENT_SECRET, or from the file of --client-secret-file.

A secret is never an argument, because every user of the machine can see arguments.";

pub(super) const EXIT_CODES: &str = "\
Exit codes:
    0  complete; also when the reader of a pipe has closed it
    2  usage: wrong arguments
   69  unavailable: the service can't be reached, fails, or sends an unusable
       response; or the system has no threads left
   74  output: it can't be written, is closed, or existing files are damaged; or
       the file of --oauth-store can't be written
   75  stopped: a temporary failure of the service after some events were
       written, another process is writing there, or what was verified isn't
       complete; run it again
   77  refused: the service refuses the token or the request (401, 403)
   78  settings: no token, an invalid token, or an invalid setting
  130  interrupted (SIGINT)
  143  terminated (SIGTERM)";

pub(super) const EXPORT: &str = "\
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
shorter. Each list request covers a margin of 60 s at both ends, at most a tenth of the slice, so that \
an event that was stored later than it was created is in the right file. Events outside of the slice and \
its margin are not written; the last line reports their number.

Each event is written once, even if the service lists it twice: an export into one file remembers the \
last 200,000 ids, an export into a folder all ids of a slice. If the service no longer knows a cursor, \
that slice, or the one file, restarts from the beginning.

--param adds a parameter that the service knows and this version doesn't. It is a part of the request: \
the ledger stores it, and each run needs the same. --header adds a header to each request; it isn't \
stored, because its value may be a secret, so that each run needs it again.

Malformed items don't end an export, and don't make it incomplete. They are written to FILE.malformed, \
one JSON object per line with page, index, error and raw text; without a FILE they are written to \
stderr, and if that fails, the export fails (74). The last line reports their number.";

pub(super) const SANDBOX: &str = "\
The sandbox serves on this machine only, until it is interrupted, and prints what a client needs. The \
same options give the same events, byte for byte if --from and --to are dates or RFC 3339 times, and \
faults on the same requests.";

pub(super) const DOCTOR: &str = "\
The checks are, in this order: the settings, the connection to the service, the token, its permissions, \
this machine's clock against the service's, the age of the oldest events that can be listed, and the rate \
limit. With -o they include the folder: whether files in it can be written, synced to disk, renamed and \
locked, and whether there is enough space. The checks send a few requests for one event each, and leave \
no files.

Each line of stdout has the result of one check: ok, warn, fail, or skip if an earlier failure prevents \
the check, and advice. With --log-format json it is a JSON object with check, outcome, found and \
advice. The exit code is that of the first failure.";

pub(super) const VERIFY: &str = "\
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

pub(super) const FOLLOW: &str = "\
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
