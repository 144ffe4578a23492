//! debug
#![allow(clippy::all, clippy::print_stdout, missing_docs)]
fn main() {
    for f in std::env::args().skip(1) {
        let t = std::fs::read_to_string(&f).unwrap();
        let s = events::shape::Shape::from_text(&t).unwrap();
        println!("== {f}");
        for s in &s.servers {
            for w in &s.windows {
                print!(
                    "[{} {:.2}s {}] ",
                    w.at_s,
                    w.span_us as f64 / 1e6,
                    w.requests.len()
                );
            }
            println!();
            println!("{}", sim::predict::dump(s));
        }
    }
}
