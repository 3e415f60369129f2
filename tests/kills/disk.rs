//! Full disks, and files at the limit of file sizes.

use std::{fs, process::Command};

use crate::{
    export, follow,
    job::{Job, Kind, Outcome, Signal},
    moment::Moment,
    support::TOKEN,
    weather::{Fault, Weather},
};

/// The compression of files, and the interval of commits.
const WAYS: [(&str, &str); 3] = [("none", "1h"), ("gzip", "0s"), ("zstd", "1h")];

fn job(kind: Kind, codec: &'static str) -> Job {
    // Malformed items have files of their own.
    let weather = Weather::of(&[Fault::Items]);
    let mut job = match kind {
        Kind::Follow => follow::job(1, weather, 200),
        _ => export::job(kind, 1, weather, 200),
    };
    job.compress(codec);
    job
}

/// Uses a limit on the length of files, which needs no privileges: a write beyond it fails like one to a full disk,
/// whether the signal of the limit is ignored or not.
fn grow_bit_by_bit(kind: Kind, codec: &'static str, commit_every: &str) {
    let mut job = job(kind, codec);
    job.set("--commit-every", commit_every);
    let mut full = 0;
    // The unit is 512 bytes, or 1024 bytes in some shells.
    for blocks in [2, 3, 5, 8, 14, 25, 64, 180, 500] {
        let moment = if kind == Kind::Follow { Moment::All } else { Moment::Never };
        job.before = Some(format!("trap '' XFSZ; ulimit -f {blocks}"));
        let outcome = job.live(moment, Signal::Terminate);
        job.look();
        match outcome {
            Outcome::Ended(0 | 143) => break,
            outcome => assert_eq!(outcome, Outcome::Ended(74), "{}", job.last_log()),
        }
        full += 1;
        assert!(job.last_log().contains("can't be written"), "{}", job.last_log());
        // Where the signal isn't ignored, the program turns it into the same error.
        job.before = Some(format!("ulimit -c 0; ulimit -f {blocks}"));
        let outcome = job.live(moment, Signal::Terminate);
        assert_eq!(outcome, Outcome::Ended(74), "{}", job.last_log());
        job.look();
    }
    assert!(full > 1, "{kind:?}, {codec}: the limit was never reached");
    job.before = None;
    assert_eq!(job.finish(), Outcome::Ended(0), "{}", job.last_log());
    job.is_whole();
}

#[test]
fn an_export_into_a_folder_loses_nothing_at_the_limit_of_file_sizes() {
    for (codec, commit_every) in WAYS {
        grow_bit_by_bit(Kind::Folder, codec, commit_every);
    }
}

#[test]
fn an_export_into_a_file_loses_nothing_at_the_limit_of_file_sizes() {
    for (codec, commit_every) in WAYS {
        grow_bit_by_bit(Kind::File, codec, commit_every);
    }
}

#[test]
fn a_follower_loses_nothing_at_the_limit_of_file_sizes() {
    for (codec, commit_every) in WAYS {
        grow_bit_by_bit(Kind::Follow, codec, commit_every);
    }
}

/// Runs a command on a disk of its own, `$1`, which has a little more room each time, until it succeeds.
/// Writes each exit code and the result of `verify`, and keeps the final files in `$2`.
#[cfg(target_os = "linux")]
const SCRIPT: &str = r#"
out=$1 kept=$2 log=$3 codes=$4; shift 4
mount -t tmpfs -o size=1m tmpfs "$out" || exit 99
for taken in 1018 1012 1004 992 960 900 820 700 500 0; do
    head -c "${taken}k" /dev/zero > "$out/ballast"
    "$@" >> "$log" 2>&1
    code=$?
    echo "$code" >> "$codes"
    if [ -e "$out/ledger.json" ]; then "$1" verify "$out" >> "$log" 2>&1; echo "verify $?" >> "$codes"; fi
    if [ "$code" -eq 0 ]; then break; fi
done
rm "$out/ballast"
cp -R "$out" "$kept"
"#;

#[cfg(target_os = "linux")]
#[test]
fn a_small_disk_loses_nothing() {
    for (kind, codec) in
        [(Kind::Folder, "none"), (Kind::Folder, "zstd"), (Kind::File, "none"), (Kind::File, "gzip")]
    {
        let mut job = job(kind, codec);
        let home = job.output_folder().parent().unwrap().to_owned();
        let [kept, log, codes] = ["kept", "log.disk", "codes"].map(|name| home.join(name));
        fs::create_dir_all(job.output_folder()).unwrap();
        let mut command = Command::new("unshare");
        command.args(["--map-root-user", "--mount", "sh", "-c", SCRIPT, "sh"]);
        command.args([&job.output_folder(), &kept, &log, &codes]);
        command
            .arg(job.command().get_program())
            .args(job.command().get_args())
            .env("WEBEX_ACCESS_TOKEN", TOKEN);
        if !command.output().is_ok_and(|output| output.status.success()) {
            eprintln!("skipped: this user can't mount a disk of its own");
            return;
        }
        let codes = fs::read_to_string(codes).unwrap();
        let log = fs::read_to_string(log).unwrap();
        let (full, others): (Vec<_>, Vec<_>) = codes.lines().partition(|code| *code == "74");
        assert!(full.len() > 1, "{codes}{log}");
        assert_eq!(log.matches("No space left on device").count(), full.len(), "{codes}{log}");
        assert!(others.iter().all(|code| ["0", "verify 75", "verify 0"].contains(code)), "{codes}{log}");
        assert!(others.contains(&"0"), "{codes}{log}");
        fs::remove_dir(job.output_folder()).unwrap();
        fs::rename(kept, job.output_folder()).unwrap();
        job.is_whole();
    }
}
