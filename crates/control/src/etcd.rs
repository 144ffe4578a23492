//! etcd as the settings name it: a client, and where our keys are.

use config::Etcd;

/// A client of these settings; nothing is asked yet.
///
/// # Errors
/// What is wrong with the settings, in words.
pub fn client(at: &Etcd) -> Result<etcd::Client, String> {
    let settings = etcd::Settings {
        user: at.user.clone(),
        password_file: at.password_file.clone(),
        tls_ca: at.tls_ca.clone(),
        tls_cert: at.tls_cert.clone(),
        tls_key: at.tls_key.clone(),
        ..etcd::Settings::at(at.endpoints.clone())
    };
    etcd::Client::new(settings).map_err(|error| error.to_string())
}

/// The key that has the text of the settings.
pub fn settings_key(at: &Etcd) -> String {
    format!("{}/settings", at.prefix)
}

/// What the keys of a fleet's instances begin with. A fleet's name has no `/`.
pub fn seats_prefix(at: &Etcd, fleet: &str) -> String {
    format!("{}/fleet/{fleet}/", at.prefix)
}
