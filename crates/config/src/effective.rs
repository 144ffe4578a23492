//! What holds for one pool: general settings, the database's and the user's, resolved.

use crate::plan::{Database, Plan, PoolMode, PoolSize};
use std::time::Duration;

/// The settings of one pool, a database and a user, after every override.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Effective {
    /// How long a client keeps a connection.
    pub mode: PoolMode,
    /// Most connections.
    pub size: PoolSize,
    /// Kept open.
    pub min: u32,
    /// Further connections after `reserve_after`.
    pub reserve: u32,
    /// See there.
    pub reserve_after: Duration,
    /// Longest wait for a connection; `None`: off.
    pub wait_timeout: Option<Duration>,
    /// Most clients that wait.
    pub queue_max: u32,
    /// Idle connections are closed after this; `None`: off.
    pub idle_timeout: Option<Duration>,
    /// Age limit of connections; `None`: off; zero: each is used once.
    pub lifetime: Option<Duration>,
    /// Most connections of the database over all users; `None`: the line alone.
    pub database_max: Option<u32>,
    /// Most connections of the user over all databases; `None`: the line alone.
    pub user_max: Option<u32>,
}

impl Plan {
    /// Whether a user is named, for all databases or for one, that asks a server for the secrets of others.
    pub fn looks_users_up(&self) -> bool {
        self.auth_user.is_some() || self.databases.iter().any(|d| d.auth_user.is_some())
    }

    /// The directory of the unix socket, where there is one in the file system: other
    /// sockets and files stand beside it.
    pub fn socket_directory(&self) -> Option<&std::path::Path> {
        let directory = self.unix_socket_dir.as_deref();
        directory.filter(|directory| !crate::is_abstract(directory))
    }

    /// The settings of a database by the name that clients use.
    pub fn database(&self, name: &str) -> Option<&Database> {
        let named = |n: &str| self.databases.iter().find(|d| d.name == n);
        named(name).or_else(|| named("*"))
    }

    /// What holds for the pool of a database and a user at the server.
    pub fn effective(&self, database: &Database, user: &str) -> Effective {
        let of_user = self.users.get(user);
        let mode = of_user.and_then(|u| u.pool_mode).or(database.pool_mode);
        let size = of_user.and_then(|u| u.pool_size).or(database.pool_size);
        let reserve = of_user.and_then(|u| u.reserve_pool_size);
        let reserve = reserve.or(database.reserve_pool_size);
        let user_max = of_user.and_then(|u| u.max_user_connections);
        Effective {
            mode: mode.unwrap_or(self.pool_mode),
            size: size.unwrap_or(self.default_pool_size),
            min: database.min_pool_size.unwrap_or(self.min_pool_size),
            reserve: reserve.unwrap_or(self.reserve_pool_size),
            reserve_after: self.reserve_pool_timeout,
            wait_timeout: database.wait_timeout.unwrap_or(self.query_wait_timeout),
            queue_max: self.queue_max,
            idle_timeout: self.server_idle_timeout,
            lifetime: database.server_lifetime.unwrap_or(self.server_lifetime),
            database_max: database.max_db_connections.or(self.max_db_connections),
            user_max: user_max.or(self.max_user_connections),
        }
    }
}
