//! Where the API listens, and who may come.

use crate::{Anonymous, ApiRole, Memory, Plan, Secret, load, reread, secret_files};

const DATABASE: &str = "[database.app]\nhost = \"h\"\n";
const VIEWER: &str = "viewer-viewer-viewer";

fn files(api: &str) -> Memory {
    Memory::default()
        .file("d/p.toml", format!("{DATABASE}{api}"))
        .file("d/viewer", format!("{VIEWER}\n"))
        .file("d/admin", "admin-admin-admin-admin\n")
        .file("d/short", "fifteen bytes..\n")
        .file("d/empty", "\n")
        .file("d/two", "one line of the token\nand another\n")
        .variable("OPERATOR", "operator-operator")
}

fn plan(api: &str) -> Result<Plan, String> {
    load("d/p.toml".as_ref(), &files(api)).map_err(|errors| errors.render())
}

#[test]
fn tokens_are_read_where_they_are_kept() {
    let api = "[api]\nlisten = \"127.0.0.1:9931\"\nhosts = [\"pool.example\"]\n[api.tokens]\nviewer_file = \"viewer\"\noperator_env = \"OPERATOR\"\nadmin_file = \"admin\"\n";
    let plan = plan(api).unwrap_or_else(|e| panic!("{e}"));
    let token = |role| plan.api.token(role).secret.clone();
    assert_eq!(token(ApiRole::Viewer), Some(Secret(VIEWER.to_owned())));
    let operator = Secret("operator-operator".to_owned());
    assert_eq!(token(ApiRole::Operator), Some(operator));
    assert_eq!(plan.api.hosts, ["pool.example"]);
    assert_eq!(
        secret_files(&plan),
        ["d/admin", "d/viewer"].map(std::path::PathBuf::from)
    );
    let shown = format!("{plan:?}");
    assert!(!shown.contains(VIEWER) && !shown.contains("admin-admin"));
}

#[test]
fn what_would_let_anybody_in_is_refused() {
    let listen = "[api]\nlisten = \"127.0.0.1:9931\"\n";
    let cases = [
        (
            format!("{listen}anonymous = \"none\"\n"),
            "nobody has a token",
        ),
        (format!("{listen}anonymous = \"admin\"\n"), "viewer"),
        (
            "[api]\nlisten = \"0.0.0.0:9931\"\n[api.tokens]\nadmin_file = \"admin\"\n".to_owned(),
            "put a proxy with TLS before it, or use the unix socket",
        ),
        (
            "[api]\nlisten = \"localhost:9931\"\n".to_owned(),
            "expected an address and a port",
        ),
        (
            format!("{listen}[api.tokens]\nadmin_file = \"gone\"\n"),
            "cannot read the file of the admin token d/gone",
        ),
        (
            format!("{listen}[api.tokens]\nadmin_file = \"empty\"\n"),
            "the admin token is empty",
        ),
        (
            format!("{listen}[api.tokens]\nadmin_file = \"short\"\n"),
            "the admin token is shorter than 16 bytes",
        ),
        (
            format!("{listen}[api.tokens]\nadmin_file = \"two\"\n"),
            "holds more than one line",
        ),
        (
            format!("{listen}[api.tokens]\nadmin_env = \"GONE\"\n"),
            "the environment variable `GONE` is not set",
        ),
        (
            format!("{listen}[api.tokens]\nadmin_file = \"admin\"\nadmin_env = \"OPERATOR\"\n"),
            "is given in two ways",
        ),
        (
            format!("{listen}[api.tokens]\nadmin_file = \"viewer\"\nviewer_file = \"viewer\"\n"),
            "viewer and admin have the same token",
        ),
        (
            format!("{listen}[api.tokens]\nadmin = \"x\"\n"),
            "unknown key `api.tokens.admin`",
        ),
    ];
    for (api, expected) in cases {
        let error = plan(&api)
            .err()
            .unwrap_or_else(|| panic!("accepted: {api}"));
        assert!(error.contains(expected), "{api}: {error}");
        assert!(!error.contains("fifteen") && !error.contains("one line of"));
    }
}

#[test]
fn pgbouncer_ini_has_a_section_for_it() {
    let text = "[databases]\n* = host=h user=u\n[pgbouncer]\nlisten_addr = 127.0.0.1\nauth_type = any\n[plimsoll]\napi_listen = [::1]:9931\napi_viewer_token_file = /viewer\n";
    let files = Memory::default()
        .file("p.ini", text)
        .file("/viewer", VIEWER);
    let plan = load("p.ini".as_ref(), &files).unwrap_or_else(|e| panic!("{}", e.render()));
    assert_eq!(plan.api.listen.map(|a| a.port()), Some(9931));
    assert!(plan.api.viewer.secret.is_some());
}

#[test]
fn a_token_is_rotated_like_any_secret() {
    let api = "[api]\nlisten = \"127.0.0.1:0\"\n[api.tokens]\nviewer_file = \"viewer\"\n";
    let before = plan(api).unwrap_or_else(|e| panic!("{e}"));
    let now = files(api).file("d/viewer", "another-another-one\n");
    let read = reread(&before, &now, &|_| true);
    assert_eq!(read.changed, ["viewer token"]);
    let new = Some(Secret("another-another-one".to_owned()));
    assert_eq!(read.plan.api.viewer.secret, new);
    for bad in ["", "short\n"] {
        let read = reread(&before, &files(api).file("d/viewer", bad), &|_| true);
        assert_eq!(read.plan, before, "the one before still holds");
        assert_eq!(read.refused.len(), 1);
    }
    // A version of the history has today's tokens.
    let mut old = before.clone();
    assert!(crate::with_secrets_of(&mut old, &read.plan).is_empty());
    assert_eq!(old, read.plan);
}

#[test]
fn reading_needs_no_token_unless_the_settings_say_so() {
    let listen = "[api]\nlisten = \"127.0.0.1:9931\"\n";
    let open = plan(listen).unwrap_or_else(|e| panic!("{e}"));
    assert_eq!(open.api.anonymous, Anonymous::Viewer);
    let tokens = "anonymous = \"none\"\n[api.tokens]\nviewer_file = \"viewer\"\n";
    let closed = plan(&format!("{listen}{tokens}")).unwrap_or_else(|e| panic!("{e}"));
    assert_eq!(closed.api.anonymous, Anonymous::None);
    // Whoever builds settings without reading any lets nobody in.
    assert_eq!(crate::Api::default().anonymous, Anonymous::None);
}
