//! A machine of its own for one instance, as a network namespace: it has an address of its own and can be cut off.

use std::io::{BufRead, BufReader};
use std::path::Path;
use std::process::{Child, Command, Stdio};

/// A machine that reaches the database, and is reached by applications, over wires of their own.
pub struct Apart {
    name: String,
    /// This machine as it is seen there, and the other as it is seen here: for the database, for the applications.
    pub database: [String; 2],
    pub applications: [String; 2],
    keeper: Child,
}

impl Apart {
    /// `None`: the system gives no namespace.
    pub fn new() -> Option<Apart> {
        let id = std::process::id();
        let name = format!("plimsoll-e2e-{id}");
        let pair = |net: u32| [1, 2].map(|end| format!("10.{net}.{}.{end}", id % 250));
        let (database, applications) = (pair(230), pair(231));
        // It removes the namespace also when we are killed.
        const SCRIPT: &str = "set -e; trap '' INT; ip netns add $1; ip -n $1 link set lo up\n\
            wire() { ip link add $2a type veth peer name $2b netns $1; ip addr add $3/24 dev $2a; ip link set $2a up\n\
            ip -n $1 addr add $4/24 dev $2b; ip -n $1 link set $2b up; }\n\
            { wire $1 pd$2 $3 $4; wire $1 pa$2 $5 $6; echo ready; read line || true; }; ip netns del $1";
        let mut keeper = Command::new("sh")
            .args(["-c", SCRIPT, "keeper", &name, &id.to_string()])
            .args(database.iter().chain(&applications))
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .stderr(Stdio::null())
            .spawn()
            .ok()?;
        let mut said = String::new();
        let out = keeper.stdout.take()?;
        BufReader::new(out).read_line(&mut said).ok()?;
        let apart = Apart {
            name,
            database,
            applications,
            keeper,
        };
        (said == "ready\n").then_some(apart)
    }

    pub fn command(&self, program: &Path) -> Command {
        let mut command = Command::new("ip");
        command.args(["netns", "exec", &self.name]).arg(program);
        command
    }

    /// From now on, packets between the database and what runs there are lost, in both directions and without a word.
    pub fn cut(&self) {
        self.wire(
            "replace",
            &["lladdr", "02:00:00:00:00:99", "nud", "permanent"],
        );
    }

    pub fn mend(&self) {
        self.wire("del", &[]);
    }

    /// Each end sends to a card that nobody has.
    fn wire(&self, what: &str, how: &[&str]) {
        let id = std::process::id();
        let [here, there] = &self.database;
        let (near, far) = (format!("pd{id}a"), format!("pd{id}b"));
        for (at, dev, to) in [(None, near, there), (Some(&self.name), far, here)] {
            let mut command = Command::new("ip");
            if let Some(name) = at {
                command.args(["-n", name]);
            }
            command.args(["neigh", what, to, "dev", &dev]).args(how);
            assert!(command.status().expect("ip runs").success());
        }
    }
}

impl Drop for Apart {
    fn drop(&mut self) {
        drop(self.keeper.stdin.take());
        let _ = self.keeper.wait();
    }
}
