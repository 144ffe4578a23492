//! TLS towards notifiers: the system's authorities, and those that the settings name.

use super::send::Fault;
use etcd::tls;
use std::path::Path;
use tokio_rustls::TlsConnector;

pub(super) fn connector(ca_file: Option<&str>) -> Result<TlsConnector, Fault> {
    let bundle = tls::system_authorities();
    let named = ca_file.map(Path::new);
    let all: Vec<&Path> = bundle.as_deref().into_iter().chain(named).collect();
    if all.is_empty() {
        return Err(Fault::lasting(
            "no authorities to check its certificate against: name them with ca_file",
        ));
    }
    tls::connector(&all, None).map_err(|error| Fault::lasting(&error.to_string()))
}
