//! What a ledger in etcd needs of the settings.

use crate::{Memory, Plan, Share, load};

const DATABASE: &str = "[database.app]\nhost = \"10.0.0.9\"\n";
const READS: &str =
    "[server]\nmonitor_user = \"watch\"\n[[user]]\nname = \"watch\"\npassword = \"p\"\n";

fn plan(text: &str) -> Result<Plan, String> {
    let files = Memory::default().file("p.toml", format!("{text}\n{DATABASE}"));
    load("p.toml".as_ref(), &files).map_err(|errors| errors.render())
}

#[test]
fn the_view_is_what_shares_unless_a_ledger_is_asked_for() {
    let plain = plan("").unwrap_or_else(|e| panic!("{e}"));
    assert_eq!(plain.fleet.share, Share::View);
    assert_eq!(plain.etcd.prefix, "plimsoll");
    let text = format!(
        "{READS}[fleet]\nshare = \"ledger\"\norigin = \"10.0.0.7\"\n[etcd]\n\
         endpoints = [\"http://10.0.0.5:2379\", \"https://[fd00::1]:2379\"]\nprefix = \"/a/b\"\n"
    );
    let ledger = plan(&text).unwrap_or_else(|e| panic!("{e}"));
    assert_eq!(ledger.fleet.share, Share::Ledger);
    assert_eq!(ledger.etcd.endpoints.len(), 2);
}

#[test]
fn what_a_ledger_lacks_is_said() {
    let ledger = "[fleet]\nshare = \"ledger\"\n";
    let etcd = "[etcd]\nendpoints = [\"http://10.0.0.5:2379\"]\n";
    let table = [
        (format!("{READS}{ledger}"), "no etcd is named"),
        (format!("{ledger}{etcd}"), "nobody reads it"),
        (
            format!("{READS}{ledger}origin = \"db\"\n{etcd}"),
            "is no address",
        ),
        (
            "[etcd]\nendpoints = [\"10.0.0.5:2379\"]\n".into(),
            "is no endpoint of etcd",
        ),
        (
            "[etcd]\nendpoints = [\"http://u:p@etcd:1\"]\n".into(),
            "is no endpoint of etcd",
        ),
        ("[etcd]\nprefix = \"a/\"\n".into(), "is no prefix of keys"),
        ("[etcd]\nuser = \"u\"\n".into(), "needs a password"),
        ("[etcd]\ntls_cert = \"c\"\n".into(), "needs its key"),
    ];
    for (text, expected) in table {
        let said = plan(&text).err().unwrap_or_default();
        assert!(said.contains(expected), "{text}\n{said}");
    }
}
