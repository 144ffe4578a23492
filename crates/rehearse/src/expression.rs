//! Expressions of `\set`, as pgbench has them: whole numbers, numbers with a
//! point, variables, `+ - * / %`, and functions of chance.
//!
//! What pgbench can and this cannot is refused by name, never taken for something
//! else (<https://www.postgresql.org/docs/current/pgbench.html>, "Built-in Functions").

use crate::text::head;
use sim::rng::Rng;
use std::collections::BTreeMap;
use std::f64::consts::TAU;

/// Deepest nesting: a script of a stranger must not exhaust the stack.
const DEPTH_MAX: usize = 64;
/// A gaussian draw further from its middle than this many deviations is drawn again, as pgbench does.
const DRAWS_MAX: usize = 1_000;

/// A value of a variable.
#[derive(Clone, Copy, PartialEq, Debug)]
pub enum Value {
    /// A whole number.
    Int(i64),
    /// A number with a point.
    Double(f64),
}

impl std::fmt::Display for Value {
    /// As it is put into a statement.
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        match self {
            Value::Int(n) => write!(f, "{n}"),
            Value::Double(n) => write!(f, "{n:?}"),
        }
    }
}

/// Variables of one client.
pub type Variables = BTreeMap<String, Value>;

/// An expression that was read, and can be computed again and again.
#[derive(Clone, PartialEq, Debug)]
pub struct Expression(Node);

#[derive(Clone, PartialEq, Debug)]
enum Node {
    Value(Value),
    Variable(String),
    Negative(Box<Node>),
    Two(Sign, Box<(Node, Node)>),
    Call(Function, Vec<Node>),
}

#[derive(Clone, Copy, PartialEq, Eq, Debug)]
enum Sign {
    Plus,
    Minus,
    Times,
    Over,
    Rest,
}

#[derive(Clone, Copy, PartialEq, Eq, Debug)]
enum Function {
    Random,
    Gaussian,
    Exponential,
    Zipfian,
    Abs,
    Greatest,
    Least,
    Int,
    Double,
    Sqrt,
    Mod,
}

/// Longest expression, bytes: each operator is a level of what is worked out.
const TEXT_MAX: usize = 4_000;

/// Name, and least and most arguments.
const FUNCTIONS: &[(&str, Function, usize, usize)] = &[
    ("random", Function::Random, 2, 2),
    ("random_gaussian", Function::Gaussian, 3, 3),
    ("random_exponential", Function::Exponential, 3, 3),
    ("random_zipfian", Function::Zipfian, 3, 3),
    ("abs", Function::Abs, 1, 1),
    ("greatest", Function::Greatest, 1, 32),
    ("least", Function::Least, 1, 32),
    ("int", Function::Int, 1, 1),
    ("double", Function::Double, 1, 1),
    ("sqrt", Function::Sqrt, 1, 1),
    ("mod", Function::Mod, 2, 2),
];

impl Expression {
    /// Reads one.
    ///
    /// # Errors
    /// What is wrong with it, in one line.
    pub fn parse(text: &str) -> Result<Expression, String> {
        if text.len() > TEXT_MAX {
            return Err(format!("an expression is at most {TEXT_MAX} bytes"));
        }
        let mut reader = Reader {
            rest: text.trim(),
            depth: 0,
        };
        let node = reader.sum()?;
        match reader.rest {
            "" => Ok(Expression(node)),
            rest => Err(format!("`{}` was not expected", head(rest))),
        }
    }

    /// The names of the variables in it.
    pub fn variables(&self) -> Vec<&str> {
        fn walk<'a>(node: &'a Node, names: &mut Vec<&'a str>) {
            match node {
                Node::Value(_) => {}
                Node::Variable(name) => names.push(name),
                Node::Negative(inner) => walk(inner, names),
                Node::Two(_, two) => {
                    walk(&two.0, names);
                    walk(&two.1, names);
                }
                Node::Call(_, all) => all.iter().for_each(|node| walk(node, names)),
            }
        }
        let mut names = Vec::new();
        walk(&self.0, &mut names);
        names
    }

    /// Its value.
    ///
    /// # Errors
    /// A variable that is not set, a division by zero, a number that does not fit or is
    /// none, bounds that are the wrong way round.
    pub fn value(&self, variables: &Variables, rng: &mut Rng) -> Result<Value, String> {
        compute(&self.0, variables, rng)
    }
}

struct Reader<'a> {
    rest: &'a str,
    depth: usize,
}

impl<'a> Reader<'a> {
    /// Takes this sign, if it comes next.
    fn takes(&mut self, sign: char) -> bool {
        let rest = self.rest.trim_start();
        match rest.strip_prefix(sign) {
            Some(after) => {
                self.rest = after.trim_start();
                true
            }
            None => false,
        }
    }

    fn sum(&mut self) -> Result<Node, String> {
        self.depth += 1;
        if self.depth > DEPTH_MAX {
            return Err(format!("it is nested more than {DEPTH_MAX} deep"));
        }
        let mut left = self.product()?;
        loop {
            let sign = match () {
                () if self.takes('+') => Sign::Plus,
                () if self.takes('-') => Sign::Minus,
                () => break,
            };
            left = Node::Two(sign, Box::new((left, self.product()?)));
        }
        self.depth -= 1;
        Ok(left)
    }

    fn product(&mut self) -> Result<Node, String> {
        let mut left = self.one()?;
        loop {
            let sign = match () {
                () if self.takes('*') => Sign::Times,
                () if self.takes('/') => Sign::Over,
                () if self.takes('%') => Sign::Rest,
                () => break,
            };
            left = Node::Two(sign, Box::new((left, self.one()?)));
        }
        Ok(left)
    }

    fn one(&mut self) -> Result<Node, String> {
        if self.takes('-') {
            self.depth += 1;
            if self.depth > DEPTH_MAX {
                return Err(format!("it is nested more than {DEPTH_MAX} deep"));
            }
            let inner = self.one()?;
            self.depth -= 1;
            return Ok(Node::Negative(Box::new(inner)));
        }
        if self.takes('(') {
            let inner = self.sum()?;
            return self
                .takes(')')
                .then_some(inner)
                .ok_or_else(|| "a `)` is missing".to_owned());
        }
        if self.takes(':') {
            let name = self.word();
            return match name {
                "" => Err("a name is missing after `:`".to_owned()),
                name => Ok(Node::Variable(name.to_owned())),
            };
        }
        match self.rest.trim_start().chars().next() {
            Some(c) if c.is_ascii_digit() || c == '.' => self.number(),
            Some(c) if c.is_ascii_alphabetic() => self.call(),
            Some(_) => Err(format!("`{}` was not expected", head(self.rest))),
            None => Err("it ends too soon".to_owned()),
        }
    }

    fn word(&mut self) -> &'a str {
        let end = self
            .rest
            .find(|c: char| !c.is_ascii_alphanumeric() && c != '_');
        let (word, rest) = self.rest.split_at(end.unwrap_or(self.rest.len()));
        self.rest = rest.trim_start();
        word
    }

    fn number(&mut self) -> Result<Node, String> {
        let text = self.rest.trim_start();
        let end = text.find(|c: char| !c.is_ascii_digit() && c != '.');
        let (digits, rest) = text.split_at(end.unwrap_or(text.len()));
        self.rest = rest.trim_start();
        let value = match digits.contains('.') {
            true => digits.parse().ok().map(Value::Double),
            false => digits.parse().ok().map(Value::Int),
        };
        value
            .map(Node::Value)
            .ok_or_else(|| format!("`{}` is no number that fits", head(digits)))
    }

    fn call(&mut self) -> Result<Node, String> {
        let name = self.word();
        let Some((_, function, least, most)) = FUNCTIONS.iter().find(|(n, ..)| *n == name) else {
            let known: Vec<&str> = FUNCTIONS.iter().map(|(n, ..)| *n).collect();
            return Err(format!(
                "`{}` is none of the functions known here: {}",
                head(name),
                known.join(", ")
            ));
        };
        if !self.takes('(') {
            return Err(format!("a `(` is missing after `{name}`"));
        }
        let mut arguments = Vec::new();
        loop {
            arguments.push(self.sum()?);
            if arguments.len() > *most {
                break;
            }
            if !self.takes(',') {
                break;
            }
        }
        if !(*least..=*most).contains(&arguments.len()) {
            return Err(format!("`{name}` takes {least} values"));
        }
        if !self.takes(')') {
            return Err("a `)` is missing".to_owned());
        }
        Ok(Node::Call(*function, arguments))
    }
}

/// Each step of it is a number: what is none is told where it comes about, and never sent.
fn compute(node: &Node, variables: &Variables, rng: &mut Rng) -> Result<Value, String> {
    match step(node, variables, rng)? {
        Value::Double(n) if n.is_nan() => Err("the result is no number".to_owned()),
        Value::Double(n) if n.is_infinite() => Err("the result is infinite".to_owned()),
        value => Ok(value),
    }
}

fn step(node: &Node, variables: &Variables, rng: &mut Rng) -> Result<Value, String> {
    match node {
        Node::Value(value) => Ok(*value),
        Node::Variable(name) => {
            let value = variables.get(name).copied();
            value.ok_or_else(|| format!("the variable `{name}` has no value"))
        }
        Node::Negative(inner) => match compute(inner, variables, rng)? {
            Value::Int(n) => n.checked_neg().map(Value::Int).ok_or_else(too_large),
            Value::Double(n) => Ok(Value::Double(-n)),
        },
        Node::Two(sign, two) => {
            let left = compute(&two.0, variables, rng)?;
            let right = compute(&two.1, variables, rng)?;
            combine(*sign, left, right)
        }
        Node::Call(function, arguments) => {
            let values: Result<Vec<Value>, String> = arguments
                .iter()
                .map(|a| compute(a, variables, rng))
                .collect();
            call(*function, &values?, rng)
        }
    }
}

fn too_large() -> String {
    "the result does not fit into 64 bits".to_owned()
}

fn float(value: Value) -> f64 {
    match value {
        Value::Int(n) => n as f64,
        Value::Double(n) => n,
    }
}

fn whole(value: Value) -> Result<i64, String> {
    match value {
        Value::Int(n) => Ok(n),
        Value::Double(n) if n.abs() < 9.2e18 => Ok(n.trunc() as i64),
        Value::Double(_) => Err(too_large()),
    }
}

fn combine(sign: Sign, left: Value, right: Value) -> Result<Value, String> {
    if let (Value::Int(a), Value::Int(b)) = (left, right) {
        if b == 0 && matches!(sign, Sign::Over | Sign::Rest) {
            return Err("a division by zero".to_owned());
        }
        let result = match sign {
            Sign::Plus => a.checked_add(b),
            Sign::Minus => a.checked_sub(b),
            Sign::Times => a.checked_mul(b),
            Sign::Over => a.checked_div(b),
            Sign::Rest => a.checked_rem(b),
        };
        return result.map(Value::Int).ok_or_else(too_large);
    }
    let (a, b) = (float(left), float(right));
    let result = match sign {
        Sign::Plus => a + b,
        Sign::Minus => a - b,
        Sign::Times => a * b,
        Sign::Over if b == 0.0 => return Err("a division by zero".to_owned()),
        Sign::Over => a / b,
        Sign::Rest => return Err("`%` is for whole numbers".to_owned()),
    };
    Ok(Value::Double(result))
}

fn call(function: Function, values: &[Value], rng: &mut Rng) -> Result<Value, String> {
    let one = values.first().copied().unwrap_or(Value::Int(0));
    let most = |a: Value, b: Value| if float(b) > float(a) { b } else { a };
    let least = |a: Value, b: Value| if float(b) < float(a) { b } else { a };
    Ok(match function {
        Function::Abs => match one {
            Value::Int(n) => Value::Int(n.checked_abs().ok_or_else(too_large)?),
            Value::Double(n) => Value::Double(n.abs()),
        },
        Function::Greatest => values.iter().copied().reduce(most).unwrap_or(one),
        Function::Least => values.iter().copied().reduce(least).unwrap_or(one),
        Function::Int => Value::Int(whole(one)?),
        Function::Double => Value::Double(float(one)),
        Function::Sqrt => Value::Double(float(one).sqrt()),
        Function::Mod => return combine(Sign::Rest, one, values.get(1).copied().unwrap_or(one)),
        Function::Random | Function::Gaussian | Function::Exponential | Function::Zipfian => {
            Value::Int(drawn(function, values, rng)?)
        }
    })
}

/// A whole number between two, both included.
fn drawn(function: Function, values: &[Value], rng: &mut Rng) -> Result<i64, String> {
    let [low, high, ..] = *values else {
        return Err("two bounds are missing".to_owned());
    };
    let (low, high) = (whole(low)?, whole(high)?);
    if low > high {
        return Err(format!(
            "the bounds {low} and {high} are the wrong way round"
        ));
    }
    let parameter = values.get(2).copied().map_or(0.0, float);
    let span = high.abs_diff(low);
    let at = match function {
        Function::Random if span == u64::MAX => return Ok(rng.bits() as i64),
        Function::Random => return Ok(low.wrapping_add_unsigned(rng.range(0, span))),
        Function::Gaussian => gaussian(parameter, rng)?,
        Function::Exponential => exponential(parameter, rng)?,
        _ => return zipfian(low, span, parameter, rng),
    };
    let offset = (at * (span as f64 + 1.0)) as u64;
    Ok(low.wrapping_add_unsigned(offset.min(span)))
}

/// Above 0, at most 1.
fn unit(rng: &mut Rng) -> f64 {
    ((rng.bits() >> 11) + 1) as f64 / (1u64 << 53) as f64
}

/// A place between 0 and 1, the middle more often: a bell of which `parameter`
/// deviations fit to each side. By Box and Muller, 1958.
fn gaussian(parameter: f64, rng: &mut Rng) -> Result<f64, String> {
    if parameter.is_nan() || parameter < 2.0 {
        return Err("the parameter of random_gaussian is at least 2".to_owned());
    }
    for _ in 0..DRAWS_MAX {
        let deviations = (-2.0 * unit(rng).ln()).sqrt() * (TAU * unit(rng)).sin();
        if deviations.abs() < parameter {
            return Ok((deviations + parameter) / (2.0 * parameter));
        }
    }
    Ok(0.5)
}

/// A place between 0 and 1, the begin more often.
fn exponential(parameter: f64, rng: &mut Rng) -> Result<f64, String> {
    if parameter.is_nan() || parameter <= 0.0 {
        return Err("the parameter of random_exponential is above 0".to_owned());
    }
    let cut = (-parameter).exp();
    let place = -(cut + (1.0 - cut) * unit(rng)).ln() / parameter;
    Ok(place.clamp(0.0, 1.0))
}

/// Rank k as often as 1/k^s says. By Devroye's rejection ("Non-Uniform Random
/// Variate Generation", 1986, X.6), for s above 1, as pgbench takes it.
fn zipfian(low: i64, span: u64, s: f64, rng: &mut Rng) -> Result<i64, String> {
    if !(1.001..=1_000.0).contains(&s) {
        return Err("the parameter of random_zipfian is between 1.001 and 1000".to_owned());
    }
    let b = 2f64.powf(s - 1.0);
    loop {
        let (u, v) = (unit(rng), unit(rng));
        let rank = u.powf(-1.0 / (s - 1.0)).floor();
        let t = (1.0 + 1.0 / rank).powf(s - 1.0);
        let taken = v * rank * (t - 1.0) / (b - 1.0) <= t / b;
        if taken && rank <= span as f64 + 1.0 {
            return Ok(low.wrapping_add_unsigned((rank as u64).saturating_sub(1).min(span)));
        }
    }
}

#[cfg(test)]
mod tests;
