//! The table of layers in `ARCHITECTURE.md` is true.

use std::{
    collections::{BTreeMap, BTreeSet},
    fs,
    path::{Path, PathBuf},
};

/// The folder of the program, in `src`.
const PROGRAM: &str = "bin/webex-events/";

fn root() -> PathBuf {
    PathBuf::from(env!("CARGO_MANIFEST_DIR"))
}

/// The modules that each part may use: the last column of the table, by the first path component of its files.
fn table() -> BTreeMap<String, BTreeSet<String>> {
    let text = fs::read_to_string(root().join("ARCHITECTURE.md")).unwrap();
    let rows = text.lines().filter(|line| line.starts_with("| ") && line.contains('`'));
    rows.map(|row| {
        let cells: Vec<_> = row.trim_matches('|').split('|').map(str::trim).collect();
        let room = room(Path::new(cells[1].split('`').nth(1).unwrap()));
        let uses =
            cells[3].split(',').map(str::trim).filter(|name| !name.is_empty()).map(str::to_owned).collect();
        (room, uses)
    })
    .collect()
}

/// `event` for `event.rs` and for `event/data.rs`; `bin/run` for those of the program.
fn room(file: &Path) -> String {
    let (prefix, file) = match file.strip_prefix(PROGRAM) {
        Ok(file) => ("bin/", file),
        Err(_) => ("", file),
    };
    let first = file.components().next().unwrap().as_os_str().to_str().unwrap();
    format!("{prefix}{}", first.trim_end_matches(".rs"))
}

fn sources(folder: &Path, found: &mut Vec<PathBuf>) {
    for entry in fs::read_dir(folder).unwrap() {
        let path = entry.unwrap().path();
        if path.is_dir() {
            sources(&path, found);
        } else if path.extension().is_some_and(|extension| extension == "rs") {
            found.push(path);
        }
    }
}

/// The modules of the crate's root that `code` names.
fn used(code: &str) -> BTreeSet<String> {
    let mut used: BTreeSet<_> =
        paths(code, "crate").into_iter().filter_map(|path| path.first().cloned()).collect();
    used.retain(|name| is_module(name));
    used
}

fn is_module(name: &str) -> bool {
    !name.is_empty() && name.chars().all(|c| c.is_lowercase() || c == '_')
}

/// The paths below `root` that `code` names: in `use` lines, each for itself, and elsewhere.
fn paths(code: &str, root: &str) -> Vec<Vec<String>> {
    let code: String =
        code.lines().map(|line| line.split("//").next().unwrap_or_default()).collect::<Vec<_>>().join("\n");
    let root = format!("{root}::");
    let mut paths = Vec::new();
    for (at, _) in code.match_indices(&root) {
        if !code[..at].ends_with(|c: char| c.is_alphanumeric() || c == '_' || c == '$' || c == ':') {
            expand(&code[at + root.len()..], &[], &mut paths);
        }
    }
    paths
}

/// Reads a path, or a list of paths in braces, and returns the rest of the text.
fn expand<'a>(text: &'a str, before: &[String], paths: &mut Vec<Vec<String>>) -> &'a str {
    let text = text.trim_start();
    if let Some(mut list) = text.strip_prefix('{') {
        loop {
            list = list.trim_start_matches(|c: char| c.is_whitespace() || c == ',');
            match list.chars().next() {
                Some('}') => return &list[1..],
                Some(c) if c.is_alphanumeric() || c == '_' => list = expand(list, before, paths),
                // A form that isn't a list of names.
                _ => return list,
            }
        }
    }
    let length = text.find(|c: char| !c.is_alphanumeric() && c != '_').unwrap_or(text.len());
    let path = [before, &[text[..length].to_owned()]].concat();
    match text[length..].strip_prefix("::") {
        Some(rest)
            if rest.trim_start().starts_with(|c: char| c.is_alphanumeric() || c == '_' || c == '{') =>
        {
            expand(rest, &path, paths)
        }
        _ => {
            paths.push(path);
            &text[length..]
        }
    }
}

#[test]
fn every_file_uses_only_what_its_row_allows() {
    let table = table();
    let src = root().join("src");
    let mut files = Vec::new();
    sources(&src, &mut files);
    let mut seen = BTreeSet::new();
    for file in &files {
        let path = file.strip_prefix(&src).unwrap();
        let room = room(path);
        let allowed =
            table.get(&room).unwrap_or_else(|| panic!("{} has no row in ARCHITECTURE.md", path.display()));
        seen.insert(room.clone());
        if allowed.contains("all") {
            continue;
        }
        for name in used(&fs::read_to_string(file).unwrap()) {
            assert!(
                name == room.trim_start_matches("bin/") || allowed.contains(&name),
                "{} uses {name}, its row doesn't say so",
                path.display()
            );
        }
    }
    let stale: Vec<_> = table.keys().filter(|room| !seen.contains(*room)).collect();
    assert!(stale.is_empty(), "rows without a file: {stale:?}");
}

#[test]
fn only_the_transport_names_the_http_client() {
    let src = root().join("src");
    let mut files = Vec::new();
    sources(&src, &mut files);
    let named: Vec<_> = files
        .iter()
        .filter(|file| !file.starts_with(src.join("bin")))
        .filter(|file| {
            let text = fs::read_to_string(file).unwrap();
            // Documentation may name it.
            text.lines().any(|line| !line.trim_start().starts_with("//") && line.contains("reqwest"))
        })
        .map(|file| file.strip_prefix(&src).unwrap().to_owned())
        .collect();
    assert_eq!(named, [Path::new("transport/builtin.rs")]);
}

#[test]
fn uses_are_found_in_every_form() {
    let code =
        "use crate::{\n a::{B, C},\n d,\n};\nfn f() { crate::e::g(); } // crate::no\n use crate::Error;";
    assert_eq!(used(code), ["a", "d", "e"].map(str::to_owned).into());
}

/// The dependencies among the modules directly below one part of the program.
fn dependencies(part: &str) -> BTreeMap<String, BTreeSet<String>> {
    let program = root().join("src").join(PROGRAM);
    let folder = program.join(part);
    let mut files = Vec::new();
    sources(&folder, &mut files);
    let name = |path: &Path| room(path.strip_prefix(&folder).unwrap());
    let modules: BTreeSet<_> = files.iter().map(|file| name(file)).collect();
    let mut graph = BTreeMap::<_, BTreeSet<_>>::new();
    for file in &files {
        let (code, of) = (fs::read_to_string(file).unwrap(), name(file));
        let absolute = paths(&code, "crate").into_iter().filter(|path| path[0] == part);
        let mut named: Vec<_> = absolute.filter_map(|path| path.into_iter().nth(1)).collect();
        // In a file directly in the folder, `super` is the part.
        if file.parent() == Some(&folder) {
            named.extend(paths(&code, "super").into_iter().filter_map(|path| path.into_iter().next()));
        }
        let others = named.into_iter().filter(|name| modules.contains(name) && *name != of);
        graph.entry(of.clone()).or_default().extend(others);
    }
    graph
}

#[test]
fn the_modules_of_the_program_have_no_cycle() {
    for part in ["archive", "cli", "commands", "metrics", "run", "service", "ui"] {
        let mut graph = dependencies(part);
        while let Some(leaf) = graph.iter().find(|(_, uses)| uses.is_empty()).map(|(name, _)| name.clone()) {
            graph.remove(&leaf);
            for uses in graph.values_mut() {
                uses.remove(&leaf);
            }
        }
        assert!(graph.is_empty(), "{part} has a cycle: {graph:?}");
    }
}

#[test]
fn paths_are_found_below_braces() {
    let code = "use crate::{a::{self, b::C}, d};\nuse super::e;";
    let expected = [["a", "self"].as_slice(), &["a", "b", "C"], &["d"]];
    assert_eq!(paths(code, "crate"), expected);
    assert_eq!(paths(code, "super"), [["e"]]);
}
