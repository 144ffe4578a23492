//! Writes the page of the documentation about the rules.

#[expect(clippy::print_stdout, reason = "it writes a page")]
fn main() {
    print!("{}", diagnose::page());
}
