//! What expressions come to, and what is said of those that are none.

use super::*;

fn of(text: &str) -> Result<Value, String> {
    let variables = Variables::from([
        ("scale".to_owned(), Value::Int(10)),
        ("half".to_owned(), Value::Double(0.5)),
        ("huge".to_owned(), Value::Double(f64::MAX)),
        ("endless".to_owned(), Value::Double(f64::INFINITY)),
    ]);
    Expression::parse(text)?.value(&variables, &mut Rng::new(1))
}

#[test]
fn arithmetic_is_that_of_pgbench() {
    for (text, value) in [
        ("1 + 2 * 3", Value::Int(7)),
        ("(1 + 2) * 3", Value::Int(9)),
        ("7 / 2", Value::Int(3)),
        ("7 / 2.0", Value::Double(3.5)),
        ("-7 % 4", Value::Int(-3)),
        ("100000 * :scale", Value::Int(1_000_000)),
        ("- -3", Value::Int(3)),
        ("10 - 3 - 2", Value::Int(5)),
        (":half * 4", Value::Double(2.0)),
        ("greatest(1, 9, 3)", Value::Int(9)),
        ("least(4, 0.5)", Value::Double(0.5)),
        ("abs(-4)", Value::Int(4)),
        ("int(5.9)", Value::Int(5)),
        ("double(2)", Value::Double(2.0)),
        ("sqrt(9)", Value::Double(3.0)),
        ("mod(9, 4)", Value::Int(1)),
        ("random(5, 5)", Value::Int(5)),
    ] {
        assert_eq!(of(text), Ok(value), "{text}");
    }
}

#[test]
fn what_is_none_is_told() {
    for (text, said) in [
        ("", "it ends too soon"),
        ("1 +", "it ends too soon"),
        ("1 2", "`2` was not expected"),
        ("(1", "a `)` is missing"),
        (":", "a name is missing after `:`"),
        (":nothing", "the variable `nothing` has no value"),
        ("1 / 0", "a division by zero"),
        ("1.5 % 2", "`%` is for whole numbers"),
        (
            "9223372036854775807 + 1",
            "the result does not fit into 64 bits",
        ),
        (
            "99999999999999999999",
            "`99999999999999999999` is no number that fits",
        ),
        ("1.2.3", "`1.2.3` is no number that fits"),
        ("sqrt(-1)", "the result is no number"),
        ("double(:huge) * 10", "the result is infinite"),
        ("-(:huge * 10)", "the result is infinite"),
        ("least(1, :huge * 10)", "the result is infinite"),
        ("0 * sqrt(-1.0)", "the result is no number"),
        ("int(:huge)", "the result does not fit into 64 bits"),
        (":endless", "the result is infinite"),
        ("1.0 / 0", "a division by zero"),
        ("random(1)", "`random` takes 2 values"),
        ("random(3, 1)", "the bounds 3 and 1 are the wrong way round"),
        (
            "random_gaussian(1, 9, 1)",
            "the parameter of random_gaussian is at least 2",
        ),
        (
            "random_zipfian(1, 9, 1)",
            "the parameter of random_zipfian is between 1.001 and 1000",
        ),
        (
            "random_exponential(1, 9, 0)",
            "the parameter of random_exponential is above 0",
        ),
        ("abs", "a `(` is missing after `abs`"),
    ] {
        assert_eq!(of(text), Err(said.to_owned()), "{text}");
    }
    let error = of("hash(:scale)").expect_err("unknown");
    assert!(
        error.starts_with("`hash` is none of the functions known here: random,"),
        "{error}"
    );
    for deep in ["(".repeat(3_000), "-".repeat(3_000)] {
        assert_eq!(of(&deep), Err("it is nested more than 64 deep".to_owned()));
    }
    // Each operator is a level of what is worked out, and of what is dropped.
    let long = format!("1{}", "+1".repeat(100_000));
    let said = "an expression is at most 4000 bytes".to_owned();
    assert_eq!(of(&long), Err(said));
    assert!(of(&format!("1{}", "+1".repeat(1_900))).is_ok());
}

/// Counts of 10,000 draws from 1 to 10.
fn counts(text: &str) -> Vec<u32> {
    let expression = Expression::parse(text).expect("sound");
    let mut rng = Rng::new(5);
    let mut counts = vec![0; 10];
    for _ in 0..10_000 {
        match expression.value(&Variables::new(), &mut rng) {
            Ok(Value::Int(n @ 1..=10)) => counts[n as usize - 1] += 1,
            other => panic!("{text}: {other:?}"),
        }
    }
    counts
}

#[test]
fn chance_has_the_form_that_was_asked_for() {
    let uniform = counts("random(1, 10)");
    assert!(
        uniform.iter().all(|n| (880..1_120).contains(n)),
        "{uniform:?}"
    );
    let bell = counts("random_gaussian(1, 10, 2.5)");
    assert!(bell[4] > 2 * bell[1] && bell[5] > 2 * bell[8], "{bell:?}");
    let begin = counts("random_exponential(1, 10, 3)");
    assert!(begin.windows(2).all(|w| w[0] > w[1]), "{begin:?}");
    // 1/k^2: the first four times as often as the second, nine times as often as the third.
    let zipf = counts("random_zipfian(1, 10, 2)");
    let ratio = |k: usize| f64::from(zipf[0]) / f64::from(zipf[k]);
    assert!(
        (ratio(1) - 4.0).abs() < 0.6 && (ratio(2) - 9.0).abs() < 2.0,
        "{zipf:?}"
    );
}

#[test]
fn the_whole_range_of_numbers_can_be_drawn_from() {
    for least in ["-9223372036854775807", "-9223372036854775807 - 1"] {
        let text = format!("random({least}, 9223372036854775807)");
        let expression = Expression::parse(&text).expect("sound");
        let mut rng = Rng::new(2);
        let mut draw = || expression.value(&Variables::new(), &mut rng);
        assert_ne!(draw().expect("a number"), draw().expect("a number"));
    }
}

#[test]
fn values_are_written_so_that_postgresql_reads_them_again() {
    assert_eq!(Value::Int(-5).to_string(), "-5");
    assert_eq!(Value::Double(2.0).to_string(), "2.0");
    assert_eq!(
        Expression::parse("random(1, :scale) + :x")
            .expect("sound")
            .variables(),
        ["scale", "x"]
    );
}
