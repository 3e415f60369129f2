//! The table of layers in `ARCHITECTURE.md` is true.

use std::{
    collections::{BTreeMap, BTreeSet},
    fs,
    path::{Path, PathBuf},
};

fn root() -> PathBuf {
    PathBuf::from(env!("CARGO_MANIFEST_DIR"))
}

/// What each room may use: the last column of the table, by the first path component of its files.
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

/// `event` for `event.rs` and for `event/data.rs`.
fn room(file: &Path) -> String {
    let first = file.components().next().unwrap().as_os_str().to_str().unwrap();
    first.trim_end_matches(".rs").to_owned()
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
    let code: String =
        code.lines().map(|line| line.split("//").next().unwrap_or_default()).collect::<Vec<_>>().join("\n");
    let mut used = BTreeSet::new();
    for (at, _) in code.match_indices("crate::") {
        if code[..at].ends_with(|c: char| c.is_alphanumeric() || c == '_' || c == '$') {
            continue;
        }
        let rest = &code[at + "crate::".len()..];
        let first_name = |text: &str| -> String {
            text.trim_start().chars().take_while(|c| c.is_alphanumeric() || *c == '_').collect()
        };
        let Some(list) = rest.strip_prefix('{') else {
            used.insert(first_name(rest));
            continue;
        };
        let (mut depth, mut start) = (0, 0);
        for (at, c) in list.char_indices() {
            match c {
                '{' => depth += 1,
                '}' if depth == 0 => {
                    used.insert(first_name(&list[start..at]));
                    break;
                }
                '}' => depth -= 1,
                ',' if depth == 0 => {
                    used.insert(first_name(&list[start..at]));
                    start = at + 1;
                }
                _ => {}
            }
        }
    }
    used.retain(|name| !name.is_empty() && name.chars().all(|c| c.is_lowercase() || c == '_'));
    used
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
        if allowed.contains("all") || room == "bin" {
            continue;
        }
        for name in used(&fs::read_to_string(file).unwrap()) {
            assert!(
                name == room || allowed.contains(&name),
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
