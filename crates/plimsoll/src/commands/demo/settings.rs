//! The demonstration's settings, as a file that can be applied, overwritten and rolled back.

use super::{CLIENTS_MAX, MONITOR, PASSWORD, REPORTER, REPORTS_SIZE, SHOP_SIZE, TOKEN, USER};
use std::path::Path;

/// The pool of the application feed, before it grows.
pub const FEED_SIZE: &str = "1";

/// What outages change.
#[derive(Clone, Debug)]
pub struct Settings {
    /// `pool_size` of shop.
    pub shop: u32,
    /// `pool_size` of feed.
    pub feed: &'static str,
}

impl Default for Settings {
    fn default() -> Settings {
        Settings {
            shop: SHOP_SIZE,
            feed: FEED_SIZE,
        }
    }
}

impl Settings {
    /// The file's text: three pools before one server, reports with a user of
    /// its own. The line is read from the server; the guards act, as in any new
    /// plimsoll.toml. What it names is written beside it.
    pub fn toml(&self, dir: &Path, server_port: u16) -> String {
        let users = [USER, MONITOR, REPORTER].map(|u| format!("\"{u}\" \"{PASSWORD}\"\n"));
        // Where that fails, the pooler says so with the file's name.
        std::fs::write(dir.join("userlist.txt"), users.concat()).ok();
        std::fs::write(dir.join("operator.token"), format!("{TOKEN}\n")).ok();
        format!(
            "[listen]\n\
             tcp = [\"127.0.0.1:0\"]\n\
             unix = \"{dir}\"\n\
             \n\
             [api]\n\
             listen = \"127.0.0.1:0\"     # the live page; everybody here may look\n\
             tokens.operator_file = \"operator.token\"\n\
             \n\
             [auth]\n\
             user_file = \"userlist.txt\"\n\
             admin_users = [\"{USER}\"]\n\
             \n\
             [clients]\n\
             max = {CLIENTS_MAX}\n\
             \n\
             [server]\n\
             monitor_user = \"{MONITOR}\"\n\
             \n\
             [settings]\n\
             source = \"store\"           # only apply changes them, never a script\n\
             \n\
             [database.shop]\n\
             host = \"127.0.0.1\"\n\
             port = {server_port}\n\
             user = \"{USER}\"\n\
             pool_size = {shop}\n\
             \n\
             [database.reports]\n\
             host = \"127.0.0.1\"\n\
             port = {server_port}\n\
             dbname = \"shop\"\n\
             user = \"{REPORTER}\"\n\
             pool_size = {REPORTS_SIZE}\n\
             \n\
             [database.feed]\n\
             host = \"127.0.0.1\"\n\
             port = {server_port}\n\
             dbname = \"shop\"\n\
             user = \"{USER}\"\n\
             pool_size = {feed}\n",
            dir = dir.display(),
            shop = self.shop,
            feed = match self.feed {
                "auto" => "\"auto\"",
                number => number,
            },
        )
    }
}
