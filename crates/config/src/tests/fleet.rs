//! Where instances listen for each other, and how they know each other.

use crate::{Class, Discover, Memory, Plan, diff, load, reread, secret_files};

const DATABASE: &str = "[database.app]\nhost = \"h\"\n";
const KEY: &str = "a key of the fleet";

fn files(key: &str, fleet: &str) -> Memory {
    Memory::default()
        .file("d/p.toml", format!("{DATABASE}{fleet}"))
        .file("d/key", format!("{key}\n"))
        .file("d/short", "fifteen bytes..\n")
}

fn plan(fleet: &str) -> Result<Plan, String> {
    load("d/p.toml".as_ref(), &files(KEY, fleet)).map_err(|errors| errors.render())
}

#[test]
fn without_a_listener_there_is_no_channel() {
    let plan = plan("").unwrap_or_else(|e| panic!("{e}"));
    assert_eq!(plan.fleet, crate::FleetChannel::default());
}

#[test]
fn the_section_is_read_with_its_key() {
    let fleet = "[fleet]\nlisten = \"10.0.0.1:6433\"\nkey_file = \"key\"\n\
                 peers = [\"10.0.0.1:6433\", \"[fd00::2]:6433\"]\n";
    let plan = plan(fleet).unwrap_or_else(|e| panic!("{e}"));
    assert_eq!(plan.fleet.discover, Discover::Static);
    assert_eq!(plan.fleet.addresses().len(), 2);
    assert_eq!(plan.fleet.key.as_ref().map(|k| k.0.as_str()), Some(KEY));
    assert_eq!(secret_files(&plan), [std::path::PathBuf::from("d/key")]);
    assert!(!format!("{plan:?}").contains(KEY));
    // A rotation is no change of settings; a bad key changes nothing.
    let again = reread(&plan, &files("another key of the fleet", fleet), &|_| true);
    assert_eq!(again.changed, ["key of the fleet"]);
    assert!(diff(&plan, &again.plan).is_empty());
    let bad = reread(&plan, &files("short", fleet), &|_| true);
    assert_eq!((bad.plan, bad.refused.len()), (plan, 1));
}

#[test]
fn what_would_not_work_is_refused_with_what_to_do() {
    let listen = "[fleet]\nlisten = \"10.0.0.1:6433\"\n";
    let own = "[fleet]\nlisten = \"127.0.0.1:6433\"\n";
    let cases = [
        (listen.to_owned(), "`openssl rand -hex 32`"),
        (
            "[fleet]\nlisten = \"0.0.0.0:6433\"\n".to_owned(),
            "anybody could speak for the fleet",
        ),
        (
            "[fleet]\nlisten = \"127.0.0.1:0\"\n".to_owned(),
            "a port of its own",
        ),
        (
            format!("{listen}key_file = \"gone\"\n"),
            "cannot read the file of the key of the fleet d/gone",
        ),
        (
            format!("{listen}key_file = \"short\"\n"),
            "shorter than 16 bytes",
        ),
        (
            format!("{own}tls_cert = \"c\"\ntls_key = \"k\"\n"),
            "needs three files",
        ),
        (
            format!("{own}discover = \"dns\"\n"),
            "write for example `dns",
        ),
        (
            format!("{own}discover = \"dns\"\ndns = \"no-port\"\n"),
            "write for example `dns",
        ),
        (
            format!("{own}discover = \"view\"\n"),
            "read by the monitor session",
        ),
        (format!("{own}discover = \"etcd\"\n"), "no etcd is named"),
        (format!("{own}discover = \"consul\"\n"), "static"),
        (
            format!("{own}peers = [\"pooler-1:6433\"]\n"),
            "no address with a port",
        ),
        (
            format!("{own}peers = [\"10.0.0.1:0\"]\n"),
            "no address with a port",
        ),
    ];
    for (text, words) in cases {
        let error = plan(&text).expect_err(&text);
        assert!(error.contains(words), "{text}: {error}");
    }
}

#[test]
fn what_is_enough_is_taken() {
    let cases = [
        "[fleet]\nlisten = \"127.0.0.1:6433\"\n",
        "[fleet]\nlisten = \"[::1]:6433\"\n",
        "[fleet]\nlisten = \"10.0.0.1:6433\"\ntls_cert = \"c\"\ntls_key = \"k\"\ntls_ca = \"a\"\n",
        "[fleet]\nlisten = \"127.0.0.1:6433\"\ndiscover = \"dns\"\ndns = \"peers.svc:6433\"\n",
        "[server]\nmonitor_user = \"w\"\n[fleet]\nlisten = \"127.0.0.1:6433\"\ndiscover = \"view\"\n[[user]]\nname = \"w\"\npassword = \"x\"\n",
    ];
    for text in cases {
        plan(text).unwrap_or_else(|e| panic!("{text}: {e}"));
    }
}

#[test]
fn peers_change_while_serving_and_the_listener_does_not() {
    let with = |more: &str| {
        let text = format!("[fleet]\n{more}\n");
        plan(&text).unwrap_or_else(|e| panic!("{e}"))
    };
    let before = with("listen = \"127.0.0.1:6433\"");
    let class = |after: &Plan| diff(&before, after).first().map(|c| c.class);
    let peers = with("listen = \"127.0.0.1:6433\"\npeers = [\"127.0.0.1:1\"]");
    assert_eq!(class(&peers), Some(Class::PerCheckout));
    let moved = with("listen = \"127.0.0.1:6434\"");
    assert_eq!(class(&moved), Some(Class::RestartOnly));
}

#[test]
fn what_each_instance_has_for_itself_is_not_in_common() {
    let common = |text: &str| {
        let files = Memory::default()
            .file("p.toml", text)
            .file("key", "sixteen bytes ok");
        let plan = load("p.toml".as_ref(), &files).unwrap_or_else(|e| panic!("{}", e.render()));
        crate::in_common(&plan)
    };
    let file = |own: &str, size: u32| {
        format!(
            "[listen]\ntcp = [\"127.0.0.1:{own}\"]\n[state]\ndirectory = \"/var/{own}\"\n\
             [fleet]\nlisten = \"127.0.0.1:1{own}\"\npeers = [\"127.0.0.1:1{own}\"]\nkey_file = \"key\"\n\
             [pool]\nsize = {size}\n[database.app]\nhost = \"h\"\n"
        )
    };
    assert_eq!(common(&file("6432", 7)), common(&file("6532", 7)));
    let (seven, eight) = (common(&file("6432", 7)), common(&file("6432", 8)));
    let only = |list: &[(String, String)], other: &[(String, String)]| -> Vec<String> {
        let rest = list.iter().filter(|said| !other.contains(said));
        rest.map(|(key, value)| format!("{key} = {value}"))
            .collect()
    };
    assert_eq!(only(&seven, &eight), ["pool.size = 7"]);
    assert_eq!(only(&eight, &seven), ["pool.size = 8"]);
}
