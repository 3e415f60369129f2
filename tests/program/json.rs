//! `--json`: one value on stdout, with the documented fields.

use serde_json::Value;

use crate::support::{Ended, folder, program, run, run_alone};

#[track_caller]
fn value(ended: &Ended) -> Value {
    serde_json::from_str(&ended.stdout).unwrap_or_else(|error| panic!("{error}: {ended:?}"))
}

#[track_caller]
fn fields(value: &Value) -> Vec<&str> {
    value.as_object().unwrap().keys().map(String::as_str).collect()
}

#[test]
fn verify_prints_its_result_as_json() {
    let folder = folder();
    let name = folder.path().join("d").display().to_string();
    let range = ["--from", "2d", "--to", "1d", "--slice", "12h"];
    let mut export = program(["export", "--sandbox", "1000", "-o", &name]);
    export.args(range);
    run(export).success();
    let ended = run_alone(["verify", &name, "--json"]);
    assert_eq!((ended.code, ended.stderr.as_str()), (0, ""));
    let sound = value(&ended);
    let expected = [
        "compared",
        "complete",
        "events",
        "exit_code",
        "files",
        "folder",
        "from",
        "message",
        "missing",
        "not_compared",
        "problems",
        "sound",
        "to",
    ];
    assert_eq!(fields(&sound), expected);
    assert!(sound["sound"] == true && sound["complete"] == true && sound["exit_code"] == 0, "{sound}");
    assert!(sound["from"].as_str().unwrap().ends_with('Z') && sound["events"].as_u64().unwrap() > 0);

    let file = crate::support::names(&name).into_iter().find(|name| name.ends_with(".ndjson")).unwrap();
    std::fs::remove_file(folder.path().join("d").join(file)).unwrap();
    let ended = run_alone(["verify", &name, "--json"]);
    assert_eq!(ended.failure().0, 74);
    let damaged = value(&ended);
    assert!(damaged["sound"] == false && damaged["exit_code"] == 74, "{damaged}");
    assert!(damaged["problems"][0].as_str().unwrap().contains("it is missing"), "{damaged}");
}

#[test]
fn doctor_prints_its_checks_as_json() {
    let ended = run_alone(["doctor", "--sandbox", "--json"]);
    assert_eq!((ended.code, ended.stderr.as_str()), (0, ""));
    let good = value(&ended);
    assert_eq!(fields(&good), ["checks", "exit_code", "ok"]);
    assert_eq!(fields(&good["checks"][0]), ["advice", "check", "found", "outcome"]);
    let ended = run_alone(["doctor", "--json"]);
    assert_eq!(ended.failure().0, 78);
    let bad = value(&ended);
    assert!(bad["ok"] == false && bad["exit_code"] == 78 && bad["checks"][0]["outcome"] == "fail", "{bad}");
}

#[test]
fn plan_prints_its_slices_as_json() {
    let plan = value(&run_alone(["plan", "--from", "2d", "--json"]));
    assert_eq!(fields(&plan), ["from", "least_requests", "least_seconds", "slices", "to"]);
    assert_eq!(fields(&plan["slices"][0]), ["end", "name", "start"]);
}
