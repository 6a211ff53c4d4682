//! The layout of the sources: no file imports in a circle, no word is in use that another one has replaced, and no two types
//! share a name.
//!
//! Two files that need each other are one idea in two places, or share a third one that has no name yet.
//!
//! A file imports another one when it names a path that ends there, in a `use` or in its code. What a file says in
//! `#[cfg(test)]` does not count, nor does `mod`, nor a re-export: `pub use` of a child's item is the child's address, and
//! who imports the item by it imports from the child. So a `mod.rs` that declares and re-exports its children imports
//! none of them, and its children may import what it defines; a `mod.rs` that calls its children is a file like any other.

use std::collections::{BTreeMap, BTreeSet};
use std::fs;
use std::path::{Path, PathBuf};

#[test]
fn no_modules_import_each_other_in_a_circle() {
    for name in ["core", "shell", "sim"] {
        let circles = Package::read(name).circles();
        assert!(circles.is_empty(), "files of {name} import each other: {circles:#?}");
    }
}

/// Words that are no identifiers of core any more, each with the one that replaced it.
const OF_CORE: &[(&str, &str)] = &[
    ("Entrance", "PendingConnect"),
    ("Asked", "PendingSubscribe"),
    ("Entering", "OnConnect"),
    ("Placed", "ServerSide"),
    ("Terms", "Grant"),
    ("Proof", "TokenVerdict"),
    ("prove", "evaluate"),
    ("Speaks", "Protocol"),
    ("Pace", "RateLimits"),
    ("pace_command", "check_command_rate"),
    ("Seat", "Membership"),
    ("News", "HomeEvent"),
    ("hear", "on_home_event"),
    ("Came", "MemberJoined"),
    ("Went", "MemberLeft"),
    ("put_in", "server_subscribe"),
    ("take_out", "server_unsubscribe"),
    ("evict", "close_slow_consumers"),
    ("discard", "evict_log"),
    ("hurry", "drop_unsent"),
    ("SealedOff", "SealOutcome"),
    ("torn", "aborted"),
    ("Post", "Fanout"),
    ("Held", "RefusedFrames"),
    ("peers", "addresses"),
    ("settle", "run_turn"),
    ("joins_of", "membership_joins"),
    ("make_room", "enforce_history_bytes"),
    ("make_room_for", "close_oldest_of"),
];

/// The same of the shell.
const OF_SHELL: &[(&str, &str)] = &[
    ("greet", "accept"),
    ("last_words", "error_response"),
    ("say_goodbye", "linger"),
    ("look", "health"),
    ("Heard", "MeteredSocket"),
    ("heard", "has_read"),
    ("Served", "Progress"),
    ("seat", "open"),
    ("seated", "open_connections"),
    ("Seats", "ConnectionTable"),
    ("Waits", "SocketWait"),
    ("doubts", "warnings"),
    ("Recent", "LastInputs"),
    ("Brief", "InputRecord"),
    ("Tokens", "TokenVerifier"),
    ("Gather", "WriteBuffer"),
    ("Written", "WriteOutcome"),
    ("hang_up", "close"),
    ("skim", "skip_to_close"),
];

/// The same of the simulator.
const OF_SIM: &[(&str, &str)] = &[
    ("Deed", "Stimulus"),
    ("Said", "ClientMessage"),
    ("Ruling", "TokenOutcome"),
    ("Life", "Connection"),
    ("Door", "Endpoint"),
    ("Peer", "Client"),
    ("Oracle", "ReferenceModel"),
];

#[test]
fn replaced_words_are_no_identifiers() {
    for (package, replaced) in [("core", OF_CORE), ("shell", OF_SHELL), ("sim", OF_SIM)] {
        for file in Package::read(package).files.values() {
            let words: BTreeSet<&str> = file.code.split(|character| !is_word(character)).collect();
            for (old, new) in replaced {
                assert!(!words.contains(old), "{} has {old}, which is {new} now", file.name);
            }
        }
    }
}

/// Names that two types have by design: HTTP's word for where a page is from, and the link's for who asks.
const SHARED: &[&str] = &["Origin"];

#[test]
fn no_two_types_of_the_workspace_share_a_name() {
    let mut owners: BTreeMap<String, BTreeSet<String>> = BTreeMap::new();
    for package in ["core", "shell", "sim"] {
        for file in Package::read(package).files.values() {
            let words: Vec<&str> =
                file.code.split(|character| !is_word(character)).filter(|word| !word.is_empty()).collect();
            let is_type =
                |two: &&[&str]| ["struct", "enum", "trait"].contains(&two[0]) && two[1].starts_with(char::is_uppercase);
            for two in words.windows(2).filter(is_type) {
                owners.entry(two[1].into()).or_default().insert(format!("{package}: {}", file.name));
            }
        }
    }
    let shared: BTreeMap<_, _> =
        owners.into_iter().filter(|(name, files)| files.len() > 1 && !SHARED.contains(&name.as_str())).collect();
    assert!(shared.is_empty(), "{shared:#?}");
}

#[test]
fn a_circle_is_found_and_a_re_export_is_none() {
    let package = |files: &[(&str, &str)]| Package::new("a", files.iter().map(|(file, text)| (*file, (*text).into())));
    let circles = |files: &[(&str, &str)]| package(files).circles();
    let parts = "mod x; mod y; pub(crate) use x::X; pub(crate) use y::{Y, self};";
    for (x, y, is_circle) in [
        ("use super::y::Y;", "use crate::b::x::X;", true),
        ("use super::Y;", "fn f() -> crate::b::X { x }", true),
        ("use super::{y};", "use crate::b::{Z, x::{self, X}};", true),
        ("use super::Y;", "use super::Z; // use super::X", false),
        ("use super::Y;", "#[cfg(test)] mod tests { use super::super::X; }", false),
        ("use super::Y;", r#"const A: &str = "crate::b::X";"#, false),
        ("use super::Z;", "use super::Z;", false),
    ] {
        let circle = circles(&[("lib.rs", "mod b;"), ("b/mod.rs", parts), ("b/x.rs", x), ("b/y.rs", y)]);
        assert_eq!(!circle.is_empty(), is_circle, "{x} {y}: {circle:?}");
    }
    let caller = circles(&[("lib.rs", "mod b;"), ("b.rs", "mod x; fn f() { x::g() }"), ("b/x.rs", "use super::h;")]);
    assert_eq!(caller, [BTreeSet::from(["a/src/b.rs".into(), "a/src/b/x.rs".into()])]);
}

/// The files of a package, by the path of their module.
struct Package {
    files: BTreeMap<Vec<String>, File>,
}

struct File {
    name: String,
    /// The file without comments, text, tests and imports.
    code: String,
    /// Paths that are imported, as they are written.
    imports: Vec<Vec<String>>,
    /// Paths that can be imported from here, by the name that they have here.
    exports: Vec<(String, Vec<String>)>,
}

impl Package {
    fn read(name: &str) -> Self {
        let root = Path::new(env!("CARGO_MANIFEST_DIR")).parent().unwrap().join(name).join("src");
        let mut files = Vec::new();
        let mut folders = vec![root.clone()];
        while let Some(folder) = folders.pop() {
            for entry in fs::read_dir(folder).unwrap() {
                let path = entry.unwrap().path();
                if path.is_dir() {
                    folders.push(path);
                } else if path.extension().is_some_and(|extension| extension == "rs") {
                    files.push((path.strip_prefix(&root).unwrap().to_str().unwrap().to_owned(), path));
                }
            }
        }
        assert!(files.len() > 10, "there are files in {}", root.display());
        let read = |(name, path): &(String, PathBuf)| (name.clone(), fs::read_to_string(path).unwrap());
        let texts: Vec<_> = files.iter().map(read).collect();
        Self::new(name, texts.iter().map(|(file, text)| (&**file, text.clone())))
    }

    fn new<'a>(package: &str, texts: impl Iterator<Item = (&'a str, String)>) -> Self {
        let mut files = BTreeMap::new();
        let mut tests = Vec::new();
        for (file, text) in texts.filter(|(file, _)| *file != "main.rs") {
            let path = file.trim_end_matches(".rs").split('/').map(String::from);
            let module: Vec<String> = path.filter(|part| part != "mod" && part != "lib").collect();
            let plain = without_comments_and_text(&text);
            let (code, test_modules) = without_tests(&plain);
            tests.extend(test_modules.into_iter().map(|name| [&module[..], &[name]].concat()));
            let (mut imports, exports, code) = uses(&code);
            imports.extend(paths_in(&code));
            files.insert(module, File { name: format!("{package}/src/{file}"), code, imports, exports });
        }
        files.retain(|module, _| !tests.iter().any(|test| module.starts_with(test)));
        Self { files }
    }

    /// The modules that a file imports from.
    fn imports(&self, module: &[String], file: &File) -> BTreeSet<Vec<String>> {
        let resolved = file.imports.iter().filter_map(|path| self.resolve(module, path, 0));
        resolved.filter(|target| target != module).collect()
    }

    /// The module in whose file a path ends. None where that is not in this package.
    fn resolve(&self, module: &[String], path: &[String], depth: usize) -> Option<Vec<String>> {
        let (first, mut rest) = path.split_first()?;
        let mut at = match &**first {
            "crate" => Vec::new(),
            "self" => module.to_vec(),
            "super" => module.split_last()?.1.to_vec(),
            child => {
                let child = [module, &[child.into()]].concat();
                self.files.contains_key(&child).then_some(child)?
            }
        };
        while let Some((next, behind)) = rest.split_first() {
            let child = [&at[..], std::slice::from_ref(next)].concat();
            if next == "super" {
                at.pop();
            } else if self.files.contains_key(&child) {
                at = child;
            } else {
                let file = self.files.get(&at)?;
                let named = file.exports.iter().filter(|(name, _)| name == next || (name == "*" && depth < 8));
                let mut targets = named.filter(|_| depth < 8).filter_map(|(name, path)| {
                    let path =
                        if name == "*" { [&path[..], std::slice::from_ref(next)].concat() } else { path.clone() };
                    let target = self.resolve(&at, &path, depth + 1)?;
                    (name != "*" || defines(&self.files[&target].code, next)).then_some(target)
                });
                return Some(targets.next().unwrap_or(at));
            }
            rest = behind;
        }
        Some(at)
    }

    /// The largest sets of files that import each other, be it through others.
    fn circles(&self) -> Vec<BTreeSet<String>> {
        let imports: BTreeMap<_, _> =
            self.files.iter().map(|(module, file)| (module, self.imports(module, file))).collect();
        let reached = |from: &Vec<String>| {
            let mut seen = BTreeSet::new();
            let mut next: Vec<&Vec<String>> = imports[from].iter().collect();
            while let Some(module) = next.pop() {
                if seen.insert(module) {
                    next.extend(&imports[module]);
                }
            }
            seen
        };
        let reached: BTreeMap<_, _> = self.files.keys().map(|module| (module, reached(module))).collect();
        let circle = |module: &&Vec<String>| {
            let both = reached[*module].iter().filter(|other| reached[**other].contains(*module));
            both.map(|other| self.files[*other].name.clone()).collect::<BTreeSet<_>>()
        };
        let circles: BTreeSet<_> = self.files.keys().map(|module| circle(&module)).collect();
        circles.into_iter().filter(|circle| circle.len() > 1).collect()
    }
}

fn without_comments_and_text(source: &str) -> String {
    let mut plain = String::new();
    let mut rest = source;
    while let Some(next) = rest.chars().next() {
        let raw = rest.strip_prefix('r').map(|text| text.len() - text.trim_start_matches('#').len());
        let in_word = plain.strip_suffix('b').unwrap_or(&plain).ends_with(is_word);
        let end = if rest.starts_with("//") {
            rest.find('\n').unwrap_or(rest.len())
        } else if let Some(hashes) = raw.filter(|hashes| !in_word && rest[1 + hashes..].starts_with('"')) {
            let quote = format!("\"{}", "#".repeat(hashes));
            let body = 2 + hashes;
            body + rest[body..].find(&quote).unwrap_or_else(|| panic!("{}", &rest[..80])) + quote.len()
        } else if next == '"' {
            let mut characters = rest.char_indices().skip(1);
            loop {
                match characters.next().unwrap() {
                    (_, '\\') => drop(characters.next()),
                    (at, '"') => break at + 1,
                    _ => {}
                }
            }
        } else if rest.starts_with("'\"'") || rest.starts_with("'{'") || rest.starts_with("'}'") {
            3
        } else if rest.starts_with("'\\\"'") {
            4
        } else {
            plain.push(next);
            rest = &rest[next.len_utf8()..];
            continue;
        };
        rest = &rest[end..];
    }
    plain
}

/// The code without the items that are there in tests only, and the names of the modules among them.
fn without_tests(code: &str) -> (String, Vec<String>) {
    let (mut kept, mut modules) = (String::new(), Vec::new());
    let mut rest = code;
    while let Some(at) = ["#[cfg(test)]", "#[cfg(all(test"].iter().filter_map(|test| rest.find(test)).min() {
        kept += &rest[..at];
        let item = &rest[at..];
        let begin = item.find(['{', ';']).unwrap();
        let mut words = item[..begin].split_whitespace().skip_while(|word| *word != "mod").skip(1);
        modules.extend(words.next().map(String::from));
        let end = if item[begin..].starts_with(';') { begin + 1 } else { begin + block(&item[begin..]) };
        rest = &item[end..];
    }
    (kept + rest, modules)
}

/// The length of the block in braces that a text begins with.
fn block(text: &str) -> usize {
    let mut depth = 0;
    let end = text.char_indices().find(|(_, character)| {
        depth += i32::from(*character == '{') - i32::from(*character == '}');
        depth == 0
    });
    end.unwrap().0 + 1
}

type Exports = Vec<(String, Vec<String>)>;

/// The paths that a file imports, those that it re-exports by the names that they get, and the rest of the code. What a file
/// imports is also there for its children, by `super`.
fn uses(code: &str) -> (Vec<Vec<String>>, Exports, String) {
    let (mut imports, mut exports, mut others) = (Vec::new(), Vec::new(), String::new());
    for statement in code.split_inclusive(';') {
        let begin = statement.rfind("use ").filter(|begin| !statement[..*begin].ends_with(is_word));
        let Some(begin) = begin.filter(|begin| !statement[*begin..].contains(['(', '='])) else {
            others += statement;
            continue;
        };
        let before = statement[..begin].trim_end();
        let is_export = before.ends_with("pub") || before.rfind("pub(").is_some_and(|at| before[at..].ends_with(')'));
        others += before;
        let mut leaves = Vec::new();
        leaves_of(statement[begin + 4..].trim_end_matches(';'), &[], &mut leaves);
        if !is_export {
            imports.extend(leaves.iter().map(|(_, path)| path.clone()));
        }
        exports.extend(leaves);
    }
    (imports, exports, others)
}

/// The names and paths of a tree such as `a::{b, c::{self, d as e}}`.
fn leaves_of(tree: &str, before: &[String], leaves: &mut Exports) {
    let (path, group) = tree.split_once('{').map_or((tree, None), |(path, group)| (path, group.rsplit_once('}')));
    let (path, alias) = path.split_once(" as ").map_or((path, None), |(path, alias)| (path, Some(alias.trim())));
    let parts = path.split("::").map(str::trim).filter(|part| !part.is_empty()).map(String::from);
    let mut path: Vec<String> = before.iter().cloned().chain(parts).collect();
    if let Some((group, _)) = group {
        let mut depth = 0;
        let is_comma = |character| {
            depth += i32::from(character == '{') - i32::from(character == '}');
            depth == 0 && character == ','
        };
        return group.split(is_comma).filter(|tree| !tree.trim().is_empty()).for_each(|t| leaves_of(t, &path, leaves));
    }
    if path.len() > 1 && path.last().is_some_and(|last| last == "self") {
        path.pop();
    }
    let Some(last) = path.last().cloned() else { return };
    if last == "*" {
        path.pop();
    }
    leaves.push((alias.map_or(last, String::from), path));
}

/// The paths in code that is not in a `use`.
fn paths_in(code: &str) -> Vec<Vec<String>> {
    let tokens = code.split(|character| !is_word(character) && character != ':').filter(|token| token.contains("::"));
    let whole = tokens.filter(|token| !token.starts_with(':'));
    whole.map(|token| token.split("::").filter(|part| !part.is_empty()).map(String::from).collect()).collect()
}

/// Whether the code of a file defines a name.
fn defines(code: &str, name: &str) -> bool {
    let words: Vec<&str> = code.split(|character| !is_word(character)).filter(|word| !word.is_empty()).collect();
    const KINDS: [&str; 8] = ["struct", "enum", "trait", "type", "fn", "const", "static", "union"];
    words.windows(2).any(|two| KINDS.contains(&two[0]) && two[1] == name)
}

fn is_word(character: char) -> bool {
    character.is_alphanumeric() || character == '_'
}
