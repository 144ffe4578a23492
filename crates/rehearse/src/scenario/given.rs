//! What a command line says beside a scenario's file, or in place of one.

use super::{
    Connect, FILE_MAX, Protocol, Scenario, ScenarioError, Written, WrittenClass, WrittenPhase,
};
use super::{WrittenLoad, WrittenValue};

/// What is given beside a file; what is left out stays as it is written there.
#[derive(Clone, Debug, Default)]
pub struct Given {
    /// Scripts with their weights: the classes, in place of the file's.
    pub scripts: Vec<(String, u32)>,
    /// One rate in place of the file's phases.
    pub rate: Option<String>,
    /// How long it holds; of a captured shape: how long it is played.
    pub lasts: Option<String>,
    /// How many times the rate of a captured shape.
    pub scale: Option<f64>,
    /// Most connections.
    pub connections: Option<u32>,
    /// When connections are opened.
    pub connect: Option<Connect>,
    /// A request that takes longer has failed.
    pub timeout: Option<String>,
    /// How statements are sent.
    pub protocol: Option<Protocol>,
    /// What chance draws.
    pub seed: Option<u64>,
    /// Thresholds, beside the file's.
    pub thresholds: Vec<String>,
    /// Variables, `NAME=VALUE`: in place of the file's of the same name.
    pub variables: Vec<String>,
}

impl Given {
    /// The scenario of a file with what is given beside it, or of that alone. The
    /// file may be a captured shape. `read` gives the text of a script's file.
    ///
    /// # Errors
    /// Everything that is wrong.
    pub fn scenario(
        &self,
        file: Option<&str>,
        read: &dyn Fn(&str) -> Result<String, String>,
    ) -> Result<Scenario, ScenarioError> {
        let mut wrong = Vec::new();
        let mut written = match file {
            Some(text) if text.len() > FILE_MAX => {
                let lines = vec![format!("a scenario is at most {FILE_MAX} bytes")];
                return Err(ScenarioError { lines });
            }
            Some(text) if is_shape(text) => Written::of_shape(),
            Some(text) => Written::read(text)?,
            None => Written::empty(),
        };
        if file.is_none() && self.scripts.is_empty() {
            wrong.push("there is nothing to send: name a scenario or a script".to_owned());
        }
        self.put(&mut written, file.is_none(), &mut wrong);
        if !wrong.is_empty() {
            return Err(ScenarioError { lines: wrong });
        }
        let shape = file.filter(|text| is_shape(text));
        written.scenario(&|name: &str| match shape {
            Some(text) if name == SHAPE => Ok(text.to_owned()),
            _ => read(name),
        })
    }

    fn put(&self, written: &mut Written, alone: bool, wrong: &mut Vec<String>) {
        if !self.scripts.is_empty() {
            let class = |(file, weight): &(String, u32)| WrittenClass {
                name: class_name(file),
                weight: Some(*weight),
                sql: None,
                script: Some(file.clone()),
            };
            written.class = self.scripts.iter().map(class).collect();
        }
        match (&self.rate, &self.lasts) {
            (Some(rate), Some(lasts)) => {
                written.load.phases = Some(vec![WrittenPhase {
                    rate: Some(rate.clone()),
                    from: None,
                    to: None,
                    lasts: lasts.clone(),
                }]);
            }
            (None, None) if !alone => {}
            (None, Some(lasts)) if written.load.shape.is_some() => {
                written.load.lasts = Some(lasts.clone());
            }
            (Some(_), None) => wrong.push("--rate: say for how long, with --for".to_owned()),
            (None, _) => wrong.push(
                "say how many requests a second are due, with --rate, and for how long, with --for"
                    .to_owned(),
            ),
        }
        let load = &mut written.load;
        load.scale = self.scale.or(load.scale);
        load.connections = self.connections.or(load.connections);
        load.connect = self.connect.or(load.connect);
        load.timeout = self.timeout.clone().or(load.timeout.take());
        load.protocol = self.protocol.or(load.protocol);
        written.seed = self.seed.or(written.seed);
        written.thresholds.extend(self.thresholds.iter().cloned());
        for text in &self.variables {
            match variable(text) {
                Some((name, value)) => drop(written.variables.insert(name, value)),
                None => wrong.push(format!(
                    "`{}` sets no variable; write NAME=NUMBER",
                    crate::text::head(text)
                )),
            }
        }
    }
}

/// What the shape that is given in place of a scenario is called.
const SHAPE: &str = "the captured shape";

fn is_shape(text: &str) -> bool {
    text.starts_with("plimsoll-shape ")
}

impl Written {
    fn of_shape() -> Written {
        let mut written = Written::empty();
        written.load.shape = Some(SHAPE.to_owned());
        written
    }

    fn empty() -> Written {
        Written {
            seed: None,
            thresholds: Vec::new(),
            load: WrittenLoad::default(),
            class: Vec::new(),
            variables: std::collections::BTreeMap::new(),
        }
    }
}

/// A script's class is named as its file is, without folder and ending.
fn class_name(file: &str) -> String {
    let base = file.rsplit('/').next().unwrap_or(file);
    let stem = base.rsplit_once('.').map_or(base, |(stem, _)| stem);
    if stem.is_empty() { base } else { stem }.to_owned()
}

fn variable(text: &str) -> Option<(String, WrittenValue)> {
    let (name, value) = text.split_once('=')?;
    let sound = |c: char| c.is_ascii_alphanumeric() || c == '_';
    if name.is_empty() || !name.chars().all(sound) {
        return None;
    }
    let whole = value.parse().ok().map(WrittenValue::Int);
    let double = || value.parse().ok().filter(|n: &f64| n.is_finite());
    let value = whole.or_else(|| double().map(WrittenValue::Double))?;
    Some((name.to_owned(), value))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::schedule::Phase;
    use std::time::Duration;

    fn files(name: &str) -> Result<String, String> {
        match name {
            "a/read.sql" => Ok("select :n;".to_owned()),
            "pay.sql" => Ok("select 2;".to_owned()),
            _ => Err("there is no such file".to_owned()),
        }
    }

    #[test]
    fn scripts_with_a_rate_are_a_scenario() {
        let given = Given {
            scripts: vec![("a/read.sql".to_owned(), 9), ("pay.sql".to_owned(), 1)],
            rate: Some("300/s".to_owned()),
            lasts: Some("20s".to_owned()),
            thresholds: vec!["read: p(99) < 5ms".to_owned()],
            variables: vec!["n=5".to_owned()],
            connections: Some(7),
            ..Given::default()
        };
        let scenario = given.scenario(None, &files).unwrap();
        assert_eq!(
            scenario.phases,
            [Phase::hold(300.0, Duration::from_secs(20))]
        );
        let classes: Vec<_> = scenario
            .classes
            .iter()
            .map(|c| (c.script.name.as_str(), c.weight))
            .collect();
        assert_eq!(classes, [("read", 9), ("pay", 1)]);
        assert_eq!((scenario.connections, scenario.thresholds.len()), (7, 1));
    }

    #[test]
    fn what_is_given_takes_the_place_of_what_is_written() {
        let text = r#"
            thresholds = ["errors < 1%"]
            [load]
            phases = [{ rate = "10/s", for = "1min" }]
            connections = 3
            [[class]]
            name = "one"
            sql = "select 1"
        "#;
        let plain = Given::default().scenario(Some(text), &files).unwrap();
        assert_eq!((plain.connections, plain.phases.len()), (3, 1));
        let given = Given {
            rate: Some("20/s".to_owned()),
            lasts: Some("5s".to_owned()),
            thresholds: vec!["p(99) < 1s".to_owned()],
            protocol: Some(Protocol::Prepared),
            seed: Some(99),
            ..Given::default()
        };
        let scenario = given.scenario(Some(text), &files).unwrap();
        assert_eq!(scenario.phases, [Phase::hold(20.0, Duration::from_secs(5))]);
        assert_eq!((scenario.thresholds.len(), scenario.seed), (2, 99));
        assert_eq!(
            (scenario.protocol, scenario.connections),
            (Protocol::Prepared, 3)
        );
    }

    #[test]
    fn what_is_missing_is_told() {
        let told = |given: Given| given.scenario(None, &files).unwrap_err().to_string();
        assert!(told(Given::default()).starts_with("there is nothing to send"));
        let scripts = vec![("pay.sql".to_owned(), 1)];
        let given = Given {
            scripts: scripts.clone(),
            ..Given::default()
        };
        assert!(told(given).contains("--rate"));
        let given = Given {
            scripts: scripts.clone(),
            rate: Some("5/s".to_owned()),
            ..Given::default()
        };
        assert!(told(given).contains("--for"));
        let given = Given {
            scripts,
            rate: Some("5/s".to_owned()),
            lasts: Some("5s".to_owned()),
            variables: vec!["n".to_owned(), "x=y".to_owned(), "a-b=1".to_owned()],
            ..Given::default()
        };
        assert_eq!(told(given).lines().count(), 3);
    }
}
