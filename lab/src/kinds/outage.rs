//! The server is away, is another, or lets nobody in.

use super::{Kind, nothing};
use crate::cluster::PASSWORD;
use diagnose::Cause;
use std::sync::PoisonError;

pub(super) const KINDS: &[Kind] = &[
    Kind {
        name: "database_down.stopped",
        what: "an administrator stops it",
        truth: Some(Cause::DatabaseDown),
        or: None,
        share: 2,
        alone: false,
        prepare: nothing,
        strike: |stage, _| {
            stage.cluster.stop("INT");
            Ok(())
        },
    },
    Kind {
        name: "database_down.killed",
        what: "it is killed, as when memory runs out",
        truth: Some(Cause::DatabaseDown),
        or: None,
        share: 2,
        alone: false,
        prepare: nothing,
        strike: |stage, _| {
            stage.cluster.kill();
            Ok(())
        },
    },
    Kind {
        name: "database_down.restarts",
        what: "it restarts two or three times, and stays away",
        truth: Some(Cause::DatabaseDown),
        or: None,
        share: 2,
        alone: false,
        prepare: nothing,
        strike: |stage, rng| {
            for _ in 0..rng.between(2, 3) {
                stage.cluster.stop("QUIT");
                stage.rest(1.5);
                stage.cluster.boot()?;
                stage.rest(1.0);
            }
            stage.cluster.stop("QUIT");
            Ok(())
        },
    },
    Kind {
        name: "database_down.standby",
        what: "it comes back as a standby: reads work, writes do not",
        truth: Some(Cause::DatabaseDown),
        or: None,
        share: 3,
        alone: false,
        prepare: nothing,
        strike: |stage, _| {
            stage.cluster.stop("INT");
            stage.cluster.become_standby()?;
            stage.cluster.boot()
        },
    },
    Kind {
        name: "database_down.hangs",
        what: "its host is gone: nothing answers, nothing refuses",
        truth: Some(Cause::DatabaseDown),
        or: Some(Cause::Network),
        share: 2,
        alone: false,
        prepare: |plan, _| plan.way = crate::stage::Way::ToServer,
        strike: |stage, _| {
            // The host is gone: nothing answers, nothing refuses.
            if let Some(weather) = &stage.weather {
                weather.set(0, 0, 1000);
            }
            Ok(())
        },
    },
    Kind {
        name: "credentials.server_rotated",
        what: "the role's password is changed at the server only, its sessions ended",
        truth: Some(Cause::Credentials),
        or: None,
        share: 3,
        alone: false,
        prepare: nothing,
        strike: |stage, _| {
            stage
                .cluster
                .sql("postgres", "alter role app password 'another-0ne'")?;
            stage.cluster.end_sessions("app")
        },
    },
    Kind {
        name: "credentials.server_expired",
        what: "the role expires, or may no longer log in",
        truth: Some(Cause::Credentials),
        or: None,
        share: 2,
        alone: false,
        prepare: nothing,
        strike: |stage, rng| {
            let sql = *rng.pick(&[
                "alter role app valid until '2020-01-01'",
                "alter role app nologin",
            ]);
            stage.cluster.sql("postgres", sql)?;
            stage.cluster.end_sessions("app")
        },
    },
    Kind {
        name: "credentials.clients",
        what: "a deploy with yesterday's password",
        truth: Some(Cause::Credentials),
        or: None,
        share: 3,
        alone: false,
        prepare: |plan, _| plan.settings.auth = "scram-sha-256",
        strike: |stage, _| {
            // A deploy with yesterday's secret.
            for name in ["web", "api"] {
                let app = stage.app(name);
                "yesterday".clone_into(
                    &mut app
                        .dial
                        .password
                        .write()
                        .unwrap_or_else(PoisonError::into_inner),
                );
                app.deploy("6.0.0");
            }
            Ok(())
        },
    },
    Kind {
        name: "credentials.user_file",
        what: "server and clients have the new password, Plimsoll's file has not",
        truth: Some(Cause::Credentials),
        or: None,
        share: 1,
        alone: false,
        prepare: |plan, _| plan.settings.auth = "scram-sha-256",
        strike: |stage, _| {
            // The server's secret was rotated, clients have it, the pooler's file has not.
            stage
                .cluster
                .sql("postgres", "alter role app password 'another-0ne'")?;
            let all = stage.plan.apps.clone();
            for app in &all {
                "another-0ne".clone_into(
                    &mut app
                        .dial
                        .password
                        .write()
                        .unwrap_or_else(PoisonError::into_inner),
                );
                app.deploy("6.1.0");
            }
            debug_assert_ne!(PASSWORD, "another-0ne");
            stage.cluster.end_sessions("app")
        },
    },
];
