//! The commands and the YAML of the README and the guides.

use std::{fs, path::Path, process::Command};

use saphyr::{LoadableYamlNode, Yaml};
use webex_events::sandbox::Sandbox;

use crate::support::{Service, TOKEN, folder, program, run};

/// A fenced block of a document.
struct Block {
    /// The file, and the line on which the block starts.
    source: String,
    language: String,
    text: String,
}

fn documents() -> Vec<String> {
    let root = Path::new(env!("CARGO_MANIFEST_DIR"));
    let mut paths = vec![root.join("README.md")];
    for entry in fs::read_dir(root.join("docs")).unwrap() {
        let path = entry.unwrap().path();
        if path.extension().is_some_and(|extension| extension == "md") {
            paths.push(path);
        }
    }
    paths.into_iter().map(|path| path.to_str().unwrap().to_owned()).collect()
}

/// The fenced blocks of all documents.
fn blocks() -> Vec<Block> {
    parts().0
}

/// The fenced blocks, and the code within texts.
fn parts() -> (Vec<Block>, Vec<Block>) {
    let (mut blocks, mut inline) = (Vec::new(), Vec::new());
    for path in documents() {
        let mut open: Option<Block> = None;
        let mut paragraph = String::new();
        for (number, line) in fs::read_to_string(&path).unwrap().lines().chain([""]).enumerate() {
            let source = format!("{path}:{}", number + 1);
            if open.is_none() && (line.is_empty() || line.starts_with(['|', '-', '`'])) {
                let codes = paragraph.split('`').skip(1).step_by(2);
                inline.extend(codes.map(|text| Block {
                    source: source.clone(),
                    language: String::new(),
                    text: text.to_owned(),
                }));
                paragraph.clear();
            }
            match (line.strip_prefix("```"), open.take()) {
                (Some(language), None) => {
                    open = Some(Block { source, language: language.to_owned(), text: String::new() });
                }
                (Some(_), Some(block)) => blocks.push(block),
                (None, Some(mut block)) => {
                    block.text.push_str(line);
                    block.text.push('\n');
                    open = Some(block);
                }
                (None, None) => {
                    paragraph.push_str(line);
                    paragraph.push(' ');
                }
            }
        }
        assert!(open.is_none(), "{path}: a block has no end");
    }
    (blocks, inline)
}

/// The arguments of each call of the program in a block, up to a pipe, a redirection or a comment.
fn calls(block: &Block) -> Vec<Vec<String>> {
    let mut calls = Vec::new();
    for line in block.text.replace("\\\n", " ").lines() {
        let mut open: Option<Vec<String>> = None;
        for word in line.replace("cargo run --release --features cli -- ", "webex-events ").split_whitespace()
        {
            let is_end = word.starts_with(['|', '>', '<', '#', '&']) || word.starts_with("2>");
            if is_the_program(word) || is_end {
                calls.extend(open.take());
                open = is_the_program(word).then(Vec::new);
            } else if let Some(call) = &mut open {
                call.push(word.trim_matches(['"', '\'', ';']).to_owned());
            }
        }
        calls.extend(open);
    }
    // The program's name is also that of a user, an image and a unit.
    let is_a_command = |word: &String| word.chars().all(|c| c.is_ascii_lowercase());
    calls.into_iter().filter(|call| call.first().is_some_and(is_a_command)).collect()
}

fn is_the_program(word: &str) -> bool {
    word.trim_start_matches("ExecStart=").rsplit('/').next() == Some("webex-events")
}

#[test]
fn each_command_of_a_document_is_one_that_the_program_accepts() {
    let mut count = 0;
    let (blocks, inline) = parts();
    let shells = blocks.iter().filter(|block| ["sh", "console", "ini", ""].contains(&&*block.language));
    for block in shells.chain(&inline) {
        for call in calls(block) {
            // Arguments are parsed in order, so that a wrong one fails before the help is printed.
            let ended = run(program(call.iter().map(String::as_str).chain(["--help"])));
            assert_eq!(ended.code, 0, "{}: {call:?}: {}", block.source, ended.stderr);
            count += 1;
        }
    }
    assert!(count >= 30, "only {count} commands were found");
}

/// Digits are replaced, because times, durations and numbers of events differ. Rounded numbers and plurals stay.
fn without_numbers(line: &str) -> String {
    let mut text = String::new();
    for c in line.chars() {
        match c {
            '0'..='9' | ',' | '.' if text.ends_with('#') => {}
            '0'..='9' => text.push('#'),
            c => text.push(c),
        }
    }
    text
}

/// True if a line is the one that a document shows; `…` stands for any text.
fn is_shown(shown: &str, line: &str) -> bool {
    let (shown, line) = (without_numbers(shown), without_numbers(line));
    match shown.split_once('…') {
        None => shown == line,
        Some((start, end)) => line.starts_with(start) && line.ends_with(end),
    }
}

#[test]
fn the_session_of_the_readme_prints_what_it_shows() {
    let service = Service::start(Sandbox::builder().events(2_000).retention(90));
    let home = folder();
    let bin = Path::new(env!("CARGO_BIN_EXE_webex-events")).parent().unwrap();
    let path = format!("{}:{}", bin.display(), std::env::var("PATH").unwrap());
    let blocks = blocks();
    let is_session = |block: &&Block| block.language == "console" && block.source.contains("README.md");
    let session = blocks.iter().find(is_session).expect("a session in the README");
    let (mut commands, mut expected) = (Vec::new(), Vec::new());
    for line in session.text.lines() {
        match line.strip_prefix("$ ") {
            Some(command) => {
                commands.push(command);
                expected.push(Vec::new());
            }
            None => expected.last_mut().unwrap().push(line),
        }
    }
    for (command, shown) in commands.iter().zip(expected) {
        let output = Command::new("sh")
            .args(["-c", &format!("{command} 2>&1")])
            .current_dir(home.path())
            .env("PATH", &path)
            .env("WEBEX_BASE_URL", service.base_url())
            .env("WEBEX_ACCESS_TOKEN", TOKEN)
            .output()
            .unwrap();
        let text = String::from_utf8(output.stdout).unwrap();
        assert!(output.status.success(), "{command}: {text}");
        let mut lines = text.lines();
        let ends_openly = shown.last() == Some(&"…");
        let mut shown = shown.into_iter();
        while let Some(pattern) = shown.next() {
            if pattern == "…" {
                // Any number of lines, up to the next one that is shown.
                let Some(next) = shown.next() else { break };
                assert!(lines.any(|line| is_shown(next, line)), "{command}: {next:?} isn't in {text}");
                continue;
            }
            let line = lines.next().unwrap_or_default();
            assert!(is_shown(pattern, line), "{command} shows {pattern:?} and prints {line:?}");
        }
        assert!(lines.next().is_none() || ends_openly, "{command}: {text}");
    }
    assert!(commands.len() >= 4);
}

#[test]
fn the_yaml_of_the_documents_is_valid() {
    let mut count = 0;
    for block in blocks().iter().filter(|block| block.language == "yaml") {
        let documents = Yaml::load_from_str(&block.text);
        assert!(documents.is_ok(), "{}: {documents:?}", block.source);
        count += 1;
    }
    assert!(count >= 4, "only {count} blocks were found");
}

fn strings(list: &Yaml<'_>) -> Vec<String> {
    list.as_sequence().unwrap().iter().map(|word| word.as_str().unwrap().to_owned()).collect()
}

#[test]
fn the_manifests_have_arguments_probes_and_volumes_that_fit() {
    let blocks = blocks();
    let manifests = blocks.iter().filter(|b| b.language == "yaml" && b.source.contains("kubernetes.md"));
    let mut kinds = Vec::new();
    for block in manifests {
        let documents = Yaml::load_from_str(&block.text).unwrap();
        let manifest = &documents[0];
        let kind = manifest["kind"].as_str().unwrap();
        assert!(manifest["apiVersion"].as_str().is_some() && manifest["metadata"]["name"].as_str().is_some());
        kinds.push(kind.to_owned());
        let pod = match kind {
            "Deployment" => &manifest["spec"]["template"]["spec"],
            "CronJob" => &manifest["spec"]["jobTemplate"]["spec"]["template"]["spec"],
            _ => continue,
        };
        assert!(pod["terminationGracePeriodSeconds"].as_integer().unwrap() >= 60, "{kind}");
        assert_eq!(pod["securityContext"]["runAsNonRoot"].as_bool(), Some(true), "{kind}");
        let container = &pod["containers"][0];
        assert_eq!(container["securityContext"]["readOnlyRootFilesystem"].as_bool(), Some(true), "{kind}");
        let arguments = strings(&container["args"]);
        let ended = run(program(arguments.iter().map(String::as_str).chain(["--help"])));
        assert_eq!(ended.code, 0, "{kind}: {}", ended.stderr);
        if let Some(metrics) = arguments.iter().find_map(|argument| argument.strip_prefix("--metrics=")) {
            let port = container["ports"][0]["containerPort"].as_integer().unwrap();
            assert_eq!(metrics, format!("0.0.0.0:{port}"));
            assert_eq!(container["readinessProbe"]["httpGet"]["path"].as_str(), Some("/healthz"));
            assert_eq!(container["livenessProbe"]["httpGet"]["path"].as_str(), Some("/metrics"));
        }
        let volumes: Vec<_> =
            pod["volumes"].as_sequence().unwrap().iter().map(|v| v["name"].as_str()).collect();
        for mount in container["volumeMounts"].as_sequence().unwrap() {
            assert!(volumes.contains(&mount["name"].as_str()), "{kind}: {mount:?}");
        }
    }
    assert_eq!(kinds, ["PersistentVolumeClaim", "Deployment", "CronJob"]);
}
