//! The runbook: each of its commands is run, in the order of the page, and each of its statements.
//!
//! Must not know: what a command does.

use std::fs;
use std::path::Path;

use crate::support::{Pgbackfill, database};

/// The lines of all blocks in this language.
fn lines(page: &str, language: &str) -> Vec<String> {
    let blocks = page.split("```").collect::<Vec<_>>();
    let of_language = blocks.iter().skip(1).step_by(2).filter_map(|block| block.strip_prefix(language));
    let lines = of_language.flat_map(str::lines).map(str::trim).filter(|line| !line.is_empty());
    lines.map(str::to_owned).collect()
}

/// The words of a command, without the comment behind it.
fn words(line: &str) -> Vec<String> {
    let line = line.split("  #").next().unwrap_or_default();
    let mut words = Vec::new();
    for (number, part) in line.split('"').enumerate() {
        if number % 2 == 1 {
            words.push(part.to_owned());
        } else {
            words.extend(part.split_whitespace().map(str::to_owned));
        }
    }
    words
}

#[tokio::test(flavor = "multi_thread")]
async fn every_command_and_every_statement_of_the_runbook_works() {
    let root = Path::new(env!("CARGO_MANIFEST_DIR"));
    let page = fs::read_to_string(root.join("docs/runbook.md")).unwrap();
    let db = database().await;
    let client = db.client().await;
    let table = "REVOKE CREATE ON SCHEMA public FROM PUBLIC;
                 CREATE TABLE orders (id bigint PRIMARY KEY, total numeric(12, 2) NOT NULL);
                 INSERT INTO orders SELECT i, i / 100.0 FROM generate_series(1, 5000) AS i";
    client.batch_execute(table).await.unwrap();
    let commands: Vec<_> = lines(&page, "sh").iter().map(|line| words(line)).collect();
    assert!(commands.len() > 15 && commands.iter().all(|words| words[0] == "pgbackfill"), "{commands:?}");
    // The page begins with what is done at 03:00; there is something to stop only after the canary.
    let (stop, others) = commands.split_at(2);
    let canary = others.iter().position(|words| words.contains(&"--max-rows".to_owned())).unwrap();
    let in_order = others[..=canary].iter().chain(stop).chain(&others[canary + 1..]);
    for words in in_order {
        let code = if words.contains(&"--max-rows".to_owned()) { 3 } else { 0 };
        let command = Pgbackfill::new(&words[1..]).in_dir(root);
        // Two need no server, and have no flag for one.
        let needs_none = ["check", "gate"].contains(&words[1].as_str());
        let command = if needs_none { command } else { command.on(&db) };
        let ran = command.run().await.expect_code(code);
        assert!(!ran.stdout.is_empty() || !ran.stderr.is_empty(), "{words:?} says nothing");
    }
    let statements = lines(&page, "sql");
    assert!(statements.len() >= 4, "{statements:?}");
    for statement in statements {
        client.batch_execute(&statement).await.unwrap_or_else(|error| panic!("{statement}: {error:?}"));
    }
}
