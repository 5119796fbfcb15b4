//! Each example does what it says. Each is its own second process.

use std::{env, path::Path, process::Command};

const README: &str = include_str!("../README.md");
const FIRST: &str = include_str!("../examples/first.rs");

/// Set if there is no cargo: the folder that has the examples.
const FOLDER: &str = "SHM_TESTS_EXAMPLES";

/// What an example prints. `cargo test` with a filter may not have built it.
fn run(example: &str) -> String {
    let output = match env::var_os(FOLDER) {
        Some(folder) => Command::new(Path::new(&folder).join(example)).output(),
        None => Command::new(env!("CARGO"))
            .args(["run", "--quiet", "--locked", "--package", "shm-segments", "--example", example])
            .output(),
    };
    let output = output.unwrap();
    assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
    String::from_utf8(output.stdout).unwrap()
}

#[test]
fn the_program_of_the_readme_is_an_example() {
    let (_, program) = FIRST.split_once("\n\n").unwrap();
    assert!(
        README.contains(&format!("```rust,no_run\n{program}```\n")),
        "copy examples/first.rs to README.md"
    );
    assert!(program.lines().count() <= 30);
    assert_eq!(
        program.matches("shm_").count(),
        program.matches("use shm_segments::").count(),
        "it needs no other crate of ours"
    );
}

#[test]
fn each_example_prints_what_it_should() {
    for (example, prints) in [
        ("first", "PEAR\n"),
        ("mutex", "Stock { apples: 12, pears: 0 }\n"),
        ("rw_lock", "[-1000, 1000]\n"),
        ("condition", "3 jobs\n"),
        ("once", "filled\n12 * 12 = 144\n"),
        ("semaphore", "400 times, never more than two at once\n"),
        ("barrier", "30 after 5 rounds of two\n"),
        ("channel", "from one\nfrom two\nfrom three\n"),
        (
            "broadcast",
            "price 7, message 7, 7 missed\nprice 8, message 8, 0 missed\nprice 9, message 9, 0 missed\n",
        ),
        ("map", "2 pages were written\n<h1>Today</h1>\nNone true\n"),
        ("tasks", "5050\n"),
        ("wait", "7\n"),
    ] {
        assert_eq!(run(example), prints, "{example}");
    }
}
