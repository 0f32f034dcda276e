//! The documents, held against the code: what they list is what there is, what they show works, and they stay
//! readable.
//!
//! Must not know: PostgreSQL; nothing here needs a server.

use std::collections::BTreeSet;
use std::fs;
use std::path::{Path, PathBuf};
use std::process::Command;

use pgbackfill::job::{
    Job, JobErrors, JobName, Limits, Phase, parse_bytes, parse_count, parse_duration_ms, set_knobs,
    set_limit, written_knobs,
};
use pgbackfill::plan::Code;
use pgbackfill::run::{Knobs, Move, RunState};
use pgbackfill::signal::{Bounds, Signal, Unit};

use super::house::root;

/// Characters of a line, as rustfmt takes them for code.
const WIDTH_MAX: usize = 110;
const README_WORDS_MAX: usize = 900;
const ARCHITECTURE_WORDS_MAX: usize = 1_500;

struct Page {
    path: PathBuf,
    text: String,
}

impl Page {
    fn read(path: &str) -> Self {
        let path = root().join(path);
        let text = fs::read_to_string(&path).unwrap_or_else(|error| panic!("{}: {error}", path.display()));
        Self { path, text }
    }

    fn name(&self) -> String {
        self.path.strip_prefix(root()).unwrap_or(&self.path).display().to_string()
    }

    /// Its lines outside of blocks of code, with their numbers.
    fn prose(&self) -> impl Iterator<Item = (usize, &str)> {
        let mut in_block = false;
        self.text.lines().enumerate().filter_map(move |(at, line)| {
            let is_fence = line.starts_with("```");
            in_block ^= is_fence;
            (!in_block && !is_fence).then_some((at + 1, line))
        })
    }

    /// The blocks of code of a language.
    fn blocks(&self, language: &str) -> Vec<String> {
        let fence = format!("```{language}\n");
        let rests = self.text.split(&fence).skip(1);
        rests.map(|rest| rest.split("```").next().unwrap_or_default().to_owned()).collect()
    }

    /// What stands below a heading, up to the next one of its level or above.
    fn section(&self, heading: &str) -> Self {
        let rest = self.text.split_once(&format!("\n{heading}"));
        let (_, rest) = rest.unwrap_or_else(|| panic!("{} has no `{heading}`", self.name()));
        let level = heading.chars().take_while(|c| *c == '#').count();
        let ends = |line: &str| (1..=level).any(|level| line.starts_with(&format!("{} ", "#".repeat(level))));
        let mut in_block = false;
        let lines = rest.lines().skip(1).take_while(|line| {
            in_block ^= line.starts_with("```");
            in_block || !ends(line)
        });
        Self { path: self.path.clone(), text: lines.collect::<Vec<_>>().join("\n") }
    }

    /// The rows of its tables, without their heads: the cells of each.
    fn rows(&self) -> Vec<Vec<String>> {
        let lines: Vec<_> = self.prose().map(|(_, line)| line).collect();
        let is_row = |at: usize| lines[at].starts_with('|') && !lines[at].starts_with("|---");
        let is_head = |at: usize| lines.get(at + 1).is_some_and(|next| next.starts_with("|---"));
        let rows = (0..lines.len()).filter(|at| is_row(*at) && !is_head(*at));
        rows.map(|at| cells(lines[at])).collect()
    }

    /// The rows that begin with a word of code, which is their first cell.
    fn listed(&self) -> Vec<Vec<String>> {
        let rows = self.rows().into_iter().filter_map(|mut row| {
            let name = code(&row[0])?.to_owned();
            row[0] = name;
            Some(row)
        });
        rows.collect()
    }

    fn words(&self) -> BTreeSet<String> {
        self.listed().into_iter().map(|row| row[0].clone()).collect()
    }
}

fn cells(row: &str) -> Vec<String> {
    row.trim().trim_matches('|').split('|').map(|cell| cell.trim().to_owned()).collect()
}

/// `` `word` `` as the word, if there is nothing else.
fn code(cell: &str) -> Option<&str> {
    let inner = cell.strip_prefix('`')?.strip_suffix('`')?;
    (!inner.contains('`')).then_some(inner)
}

/// What stands between backticks; a block of code is one, too.
fn spans(text: &str) -> impl Iterator<Item = &str> {
    text.split('`').skip(1).step_by(2)
}

fn pages() -> Vec<Page> {
    let mut all = vec![Page::read("README.md"), Page::read("ARCHITECTURE.md")];
    let mut dirs = vec![root().join("docs")];
    while let Some(dir) = dirs.pop() {
        for entry in fs::read_dir(&dir).unwrap() {
            let path = entry.unwrap().path();
            if path.is_dir() {
                dirs.push(path);
            } else if path.extension().is_some_and(|extension| extension == "md") {
                all.push(Page { text: fs::read_to_string(&path).unwrap(), path });
            }
        }
    }
    assert!(all.len() > 30, "only {} pages were found", all.len());
    all
}

/// Fails with everything that is wrong.
#[track_caller]
fn assert_none(rule: &str, wrong: &[String]) {
    assert!(wrong.is_empty(), "{rule}:\n{}", wrong.join("\n"));
}

fn set<'a>(words: impl IntoIterator<Item = &'a str>) -> BTreeSet<String> {
    words.into_iter().map(str::to_owned).collect()
}

// How it reads.

#[test]
fn the_entrance_is_short() {
    let words = |path: &str| Page::read(path).text.split_whitespace().count();
    let (readme, architecture) = (words("README.md"), words("ARCHITECTURE.md"));
    assert!(readme <= README_WORDS_MAX, "README.md has {readme} words, more than {README_WORDS_MAX}");
    assert!(
        architecture <= ARCHITECTURE_WORDS_MAX,
        "ARCHITECTURE.md has {architecture} words, more than {ARCHITECTURE_WORDS_MAX}"
    );
}

#[test]
fn no_line_is_wider_than_the_code() {
    let mut wide = Vec::new();
    for page in pages() {
        let too_wide = |line: &str| !line.starts_with('|') && line.chars().count() > WIDTH_MAX;
        wide.extend(
            page.prose()
                .filter(|(_, line)| too_wide(line))
                .map(|(number, line)| format!("{}:{number}: {line}", page.name())),
        );
    }
    assert_none("lines of more than 110 characters", &wide);
}

#[test]
fn the_words_are_plain() {
    // The noun that is meant, a band of keys, the WAL's full-page images.
    let riddles = ["whoever", "nobody", "somebody", "run of keys", "runs of keys", "whole page"];
    let mut found = Vec::new();
    for page in pages() {
        for (number, line) in page.prose() {
            // Names of tests and messages are as they are.
            let said: String = line.split('`').step_by(2).collect::<Vec<_>>().join(" ").to_lowercase();
            let riddle = riddles.iter().find(|riddle| said.contains(**riddle));
            found.extend(riddle.map(|riddle| format!("{}:{number}: {riddle}", page.name())));
        }
    }
    assert_none("riddles", &found);
}

#[test]
fn every_page_begins_with_a_short_answer() {
    let docs = pages().into_iter().filter(|page| page.name().starts_with("docs/"));
    let silent: Vec<_> = docs
        .filter(|page| !is_decision(&page.path) && !page.text.contains("\n\n**In short:** "))
        .map(|page| page.name())
        .collect();
    assert_none("no **In short:**", &silent);
}

fn is_decision(path: &Path) -> bool {
    path.file_name().is_some_and(|name| name.to_string_lossy().starts_with(|c: char| c.is_ascii_digit()))
}

#[test]
fn every_decision_has_four_parts_and_is_in_the_index() {
    let index = Page::read("docs/decisions/README.md");
    let mut wrong = Vec::new();
    let decisions: Vec<_> = pages().into_iter().filter(|page| is_decision(&page.path)).collect();
    for page in &decisions {
        let file = page.path.file_name().unwrap_or_default().to_string_lossy().into_owned();
        let parts = ["**Context.** ", "**Decision.** ", "**Measurement.** ", "**Consequence.** "];
        wrong.extend(
            parts
                .iter()
                .filter(|part| !page.text.contains(**part))
                .map(|part| format!("{file} lacks {part}")),
        );
        if !index.text.contains(&format!("]({file})")) {
            wrong.push(format!("{file} is not in the index"));
        }
    }
    assert!(decisions.len() > 30, "is this test blind?");
    assert_none("decisions", &wrong);
}

// What it names.

#[test]
fn every_link_leads_somewhere() {
    let mut wrong = Vec::new();
    let mut followed = 0;
    for page in pages() {
        for (number, line) in page.prose() {
            for rest in line.split("](").skip(1) {
                let target = rest.split(')').next().unwrap_or_default();
                followed += 1;
                if !leads_somewhere(&page, target) {
                    wrong.push(format!("{}:{number}: {target}", page.name()));
                }
            }
        }
    }
    assert!(followed > 50, "only {followed} links were found");
    assert_none("links to nothing", &wrong);
}

fn leads_somewhere(page: &Page, target: &str) -> bool {
    if target.starts_with("https://") {
        return true;
    }
    let (file, anchor) = target.split_once('#').unwrap_or((target, ""));
    let path = if file.is_empty() {
        page.path.clone()
    } else {
        page.path.parent().map(|dir| dir.join(file)).unwrap_or_default()
    };
    path.exists() && (anchor.is_empty() || anchors(&path).contains(anchor))
}

/// The headings of a page as links name them.
fn anchors(path: &Path) -> BTreeSet<String> {
    let text = fs::read_to_string(path).unwrap_or_default();
    let headings = text.lines().filter_map(|line| line.trim_start_matches('#').strip_prefix(' '));
    headings
        .map(|heading| {
            let kept = heading.chars().filter(|c| c.is_alphanumeric() || " -_".contains(*c));
            kept.collect::<String>().to_lowercase().replace(' ', "-")
        })
        .collect()
}

#[test]
fn every_file_that_is_named_is_there() {
    let extensions = [".rs", ".sql", ".toml", ".md", ".sh"];
    // Written by the reader.
    let examples = ["JOB.toml"];
    let mut missing = Vec::new();
    for page in pages() {
        for (number, line) in page.prose() {
            for word in spans(line).flat_map(str::split_whitespace) {
                let ends = |extension: &&str| word.len() > extension.len() && word.ends_with(*extension);
                let is_file = extensions.iter().any(ends)
                    || ["src/", "tests/", "jobs/", "docs/"].iter().any(|start| word.starts_with(start));
                let places = ["", "src", "docs"].map(|dir| root().join(dir).join(word));
                if is_file && !examples.contains(&word) && !places.iter().any(|path| path.exists()) {
                    missing.push(format!("{}:{number}: {word}", page.name()));
                }
            }
        }
    }
    assert_none("files that are not there", &missing);
}

#[test]
fn every_target_of_make_is_there() {
    let makefile = Page::read("Makefile").text;
    let mut missing = Vec::new();
    for page in pages() {
        let lines = spans(&page.text).flat_map(str::lines);
        let targets = lines.filter_map(|line| line.strip_prefix("make ")?.split_whitespace().next());
        let gone = targets.filter(|target| !makefile.contains(&format!("\n{target}:")));
        missing.extend(gone.map(|target| format!("{}: make {target}", page.name())));
    }
    assert_none("targets that are not there", &missing);
    assert!(
        Page::read("README.md").text.contains("\nmake test "),
        "README.md does not say how the tests are run"
    );
}

// The command line.

fn help(args: &[&str]) -> String {
    let output = Command::new(env!("CARGO_BIN_EXE_pgbackfill")).args(args).arg("--help").output().unwrap();
    String::from_utf8(output.stdout).unwrap()
}

/// What stands below a heading of the help, line by line.
fn below<'a>(help: &'a str, heading: &str) -> impl Iterator<Item = &'a str> {
    let rest = help.split_once(heading).map(|(_, rest)| rest).unwrap_or_default();
    rest.lines().skip(1).take_while(|line| line.starts_with(' '))
}

/// Names of the subcommands; what goes on on a second line begins further right.
fn commands() -> BTreeSet<String> {
    let help = help(&[]);
    let names = below(&help, "Commands:").filter(|line| !line.starts_with("   "));
    let names: BTreeSet<_> =
        names.filter_map(|line| line.split_whitespace().next()).map(str::to_owned).collect();
    assert!(names.len() > 10, "{names:?}");
    names
}

#[test]
fn every_command_that_is_shown_exists_and_every_one_that_exists_is_shown() {
    let commands = commands();
    let shown = |page: &Page| -> BTreeSet<String> {
        let lines = page.blocks("sh").join("\n");
        let words = lines.lines().filter_map(|line| line.strip_prefix("pgbackfill "));
        words.filter_map(|rest| rest.split_whitespace().next()).map(str::to_owned).collect()
    };
    for page in pages() {
        let unknown: Vec<_> = shown(&page).difference(&commands).cloned().collect();
        assert_none(&format!("{} shows commands that do not exist", page.name()), &unknown);
    }
    let entrance = shown(&Page::read("README.md"));
    for command in ["plan", "run", "status", "pause", "set"] {
        assert!(entrance.contains(command), "README.md does not show {command}");
    }
    let guide = shown(&Page::read("docs/guide.md"));
    let hidden: Vec<_> = commands.difference(&guide).filter(|name| *name != "help").cloned().collect();
    assert_none("docs/guide.md does not show", &hidden);
}

#[test]
fn every_flag_that_is_named_exists() {
    let mut known = help(&[]);
    for command in commands().iter().filter(|name| *name != "help") {
        known.push_str(&help(&[command]));
    }
    let known: BTreeSet<&str> = known.split(|c: char| !c.is_ascii_lowercase() && c != '-').collect();
    let cargo = ["--open", "--path", "--test"];
    let mut unknown = Vec::new();
    for page in pages() {
        for span in spans(&page.text) {
            let words = span.split(|c: char| !c.is_ascii_lowercase() && c != '-');
            let flags = words.filter(|word| word.starts_with("--") && word.len() > 2);
            let strange = flags.filter(|flag| !known.contains(flag) && !cargo.contains(flag));
            unknown.extend(strange.map(|flag| format!("{}: {flag}", page.name())));
        }
    }
    assert_none("flags that do not exist", &unknown);
}

#[test]
fn the_guide_has_every_exit_code() {
    let help = help(&[]);
    let codes: Vec<_> = below(&help, "Exit codes:")
        .filter_map(|line| line.trim().split_once(' '))
        .map(|(code, means)| vec![code.to_owned(), means.trim().to_owned()])
        .collect();
    assert!(codes.len() > 5, "{codes:?}");
    assert_eq!(Page::read("docs/guide.md").section("## Exit codes").rows(), codes);
}

// The job file.

const SECTIONS: [&str; 6] = ["undo", "pace", "limits", "order", "scan", "guard"];

fn job_file() -> Page {
    Page::read("docs/job-file.md")
}

fn section(name: &str) -> Page {
    // `## `[guard]`…` has `### `[[guard.sql]]`…` below it, which is another list.
    let whole = job_file().section(&format!("## `[{name}]`"));
    let text = whole.text.split("\n### ").next().unwrap_or_default().to_owned();
    Page { text, ..whole }
}

fn job(text: &str) -> Result<Job, JobErrors> {
    Job::from_toml(JobName::new("example").unwrap(), "example.toml", text)
}

/// What an unknown setting is told: the names of all that are known.
fn known(refusal: &str) -> BTreeSet<String> {
    let (_, names) = refusal.split_once("not one of ").unwrap_or_else(|| panic!("no names in: {refusal}"));
    set(names.split(", "))
}

/// What stands between quotes in the first list that follows `start` in a source of the room `job`.
fn list_in_sources(start: &str) -> BTreeSet<String> {
    let mut dirs = vec![root().join("src/job")];
    while let Some(dir) = dirs.pop() {
        for entry in fs::read_dir(dir).unwrap() {
            let path = entry.unwrap().path();
            if path.is_dir() {
                dirs.push(path);
                continue;
            }
            let text = fs::read_to_string(&path).unwrap();
            if let Some((_, rest)) = text.split_once(start) {
                let list = rest.split_once('=').and_then(|(_, list)| list.split("];").next());
                return set(list.unwrap_or_default().split('"').skip(1).step_by(2));
            }
        }
    }
    panic!("no source has: {start}");
}

#[test]
fn the_page_on_the_job_file_lists_exactly_the_keys_that_it_takes() {
    let mut top = job_file().section("## Which rows").words();
    top.extend(SECTIONS.map(str::to_owned));
    top.extend(["expand", "verify", "contract"].map(str::to_owned));
    assert_eq!(top, list_in_sources("const KEYS: "));
    let pace = section("pace").words();
    assert_eq!(pace, set(written_knobs(&Knobs::default()).into_iter().map(|(name, _)| name)));
    let known_knobs = known(&set_knobs(&mut Knobs::default(), [("qqqqqqqqqq", "")]).unwrap_err());
    assert_eq!(&pace | &section("guard").words(), known_knobs);
    let known_limits = known(&set_limit(&mut Limits::default(), "qqqqqqqqqq", "").unwrap_err());
    assert_eq!(section("limits").words(), known_limits);
    assert_eq!(section("order").words(), list_in_sources("impl Settings for Order"));
    assert_eq!(section("scan").words(), list_in_sources("impl Settings for ScanSettings"));
    assert_eq!(section("undo").words(), list_in_sources("impl Settings for UndoSettings"));
}

#[test]
fn the_page_on_the_job_file_lists_exactly_the_steps_that_there_are() {
    let rows = job_file().section("## `[expand]`, `[verify]`, `[contract]`").rows();
    let first = |key: &str| key.split('.').next().unwrap_or_default().to_owned();
    let listed: BTreeSet<_> = rows.iter().flat_map(|row| spans(&row[0]).map(first)).collect();
    let known = Phase::Expand.key_names().chain(Phase::Contract.key_names());
    assert_eq!(listed, set(known.chain(["keep"])));
}

#[test]
fn the_page_lists_the_keys_of_a_signal_of_the_job_s_own() {
    let listed = job_file().section("### `[[guard.sql]]`").words();
    for key in &listed {
        let signal = format!("table = 't'\nset.a = '1'\n[[guard.sql]]\n{key} = true\n");
        let refused = job(&signal).unwrap_err().to_string();
        assert!(!refused.contains("unknown key"), "{key}: {refused}");
    }
    assert_eq!(listed, set(["query", "limit", "name"]));
}

/// A job with one setting, and what keeps it from contradicting its neighbour.
fn with(section: &str, key: &str, value: &str) -> Result<Job, JobErrors> {
    let neighbour = match (key, key.rsplit_once('_')) {
        ("min_rows_per_batch", _) => "max_rows_per_batch = 1_000_000\n".to_owned(),
        (_, Some((signal, "slow"))) => format!("{signal}_stop = 'off'\n"),
        (_, Some((signal, "stop"))) => format!("{signal}_slow = 'off'\n"),
        _ => String::new(),
    };
    job(&format!("table = 't'\nset.a = '1'\n[{section}]\n{neighbour}{key} = {value}\n"))
}

#[test]
fn every_bound_on_the_page_is_allowed() {
    let mut refused = Vec::new();
    for name in SECTIONS {
        for row in section(name).listed() {
            let values: Vec<_> = spans(&row[3]).collect();
            assert!(!values.is_empty(), "{}: nothing is allowed", row[0]);
            for value in values {
                let why = with(name, &row[0], value).err().map(|why| why.to_string());
                refused.extend(why.map(|why| format!("{} = {value}: {why}", row[0])));
            }
        }
    }
    assert_none("refused", &refused);
}

#[test]
fn every_default_on_the_page_is_what_a_job_without_the_key_has() {
    let of = |text: &str| job(text).map(|job| (job.pace, job.limits, job.order, job.scan));
    let bare = of("table = 't'\nset.a = '1'\n").unwrap();
    for name in SECTIONS {
        for row in section(name).listed() {
            if let Some(default) = code(&row[2]) {
                let text = format!("table = 't'\nset.a = '1'\n[{name}]\n{} = {default}\n", row[0]);
                assert_eq!(of(&text).unwrap(), bare, "{}", row[0]);
            }
        }
    }
}

#[test]
fn every_example_of_a_job_is_a_job() {
    let mut tried = 0;
    for page in pages() {
        for block in page.blocks("toml") {
            let whole = block.lines().any(|line| line.starts_with("table = "));
            let text = if whole { block } else { format!("table = 't'\nset.a = '1'\n{block}") };
            let refused = job(&text).err().map(|errors| errors.to_string());
            assert!(refused.is_none(), "{}: {}", page.name(), refused.unwrap_or_default());
            tried += 1;
        }
    }
    assert!(tried > 8, "only {tried} examples were found");
}

// Signals, findings, states.

/// A bound as the page writes it.
fn bound(unit: Unit, text: &str) -> Option<u64> {
    let ms = || parse_duration_ms(text, &(1..=u32::MAX)).map(|ms| ms.get().into());
    match (unit, text) {
        (_, "off") => None,
        (Unit::Time, "0s") => Some(0),
        (Unit::Time, _) => Some(ms().unwrap()),
        (Unit::Bytes, _) => Some(parse_bytes(text).unwrap().get()),
        (Unit::Count, _) => Some(parse_count(text, &(0..=u64::MAX)).unwrap()),
    }
}

#[test]
fn the_page_on_the_guard_lists_exactly_the_signals_with_their_bounds() {
    let listed = Page::read("docs/guard.md").section("## The signals").listed();
    let signals: Vec<_> = listed.iter().filter(|row| row.len() == 4).collect();
    assert_eq!(
        signals.iter().map(|row| row[0].as_str()).collect::<Vec<_>>(),
        Signal::ALL.map(Signal::as_str)
    );
    for (signal, row) in Signal::ALL.iter().zip(signals) {
        let bounds = Bounds { slow: bound(signal.unit(), &row[1]), stop: bound(signal.unit(), &row[2]) };
        assert_eq!(bounds, signal.usual(), "{}", row[0]);
    }
    let others = set(listed.iter().filter(|row| row.len() == 3).map(|row| row[0].as_str()));
    let is_bound = |key: &String| key.ends_with("_slow") || key.ends_with("_stop");
    assert_eq!(others, section("guard").words().into_iter().filter(|key| !is_bound(key)).collect());
}

#[test]
fn the_page_on_the_plan_lists_exactly_the_findings_with_their_weight() {
    let listed = Page::read("docs/plan.md").section("## Findings").listed();
    let listed: Vec<_> = listed.iter().map(|row| (row[0].as_str(), row[1].as_str())).collect();
    let all: Vec<_> = Code::ALL.iter().map(|code| (code.as_str(), code.severity().as_str())).collect();
    assert_eq!(listed, all);
}

const MOVES: [Move; 5] = [Move::Pause, Move::Resume, Move::Block, Move::Cancel, Move::Complete];

const fn event(asked: Move) -> &'static str {
    match asked {
        Move::Pause => "pause",
        Move::Resume => "resume",
        Move::Block => "block",
        Move::Cancel => "cancel",
        Move::Complete => "complete",
    }
}

#[test]
fn the_page_on_states_has_exactly_the_arrows_of_the_step() {
    let rows = Page::read("docs/states.md").section("## Run").rows();
    let listed: BTreeSet<_> = rows.into_iter().map(|row| row[..3].to_vec()).collect();
    let pairs = RunState::ALL.into_iter().flat_map(|from| MOVES.map(|asked| (from, asked)));
    let arrows = pairs.filter_map(|(from, asked)| {
        let to = from.step(asked).ok()?;
        Some(vec![from.as_str().to_owned(), event(asked).to_owned(), to.as_str().to_owned()])
    });
    assert_eq!(listed, arrows.collect());
}
