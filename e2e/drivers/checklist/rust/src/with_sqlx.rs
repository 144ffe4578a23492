//! sqlx with its pool: every statement is prepared and kept.

use crate::told;
use futures_util::TryStreamExt as _;
use sqlx::postgres::{PgConnectOptions, PgPoolOptions, PgSslMode};
use sqlx::{Acquire, Connection, Error, Executor, PgPool, Row};

pub async fn run() -> Result<(), Error> {
    let options = PgConnectOptions::new()
        .host(&told("PGHOST"))
        .port(told("PGPORT").parse().expect("a port"))
        .username(&told("PGUSER"))
        .password(&told("PGPASSWORD"))
        .database(&told("PGDATABASE"))
        .ssl_mode(PgSslMode::VerifyFull)
        .ssl_root_cert(told("PGSSLROOTCERT"));
    let pool = PgPoolOptions::new().max_connections(6).connect_with(options).await?;
    let user: String = sqlx::query_scalar("select current_user::text").fetch_one(&pool).await?;
    println!("connected as {user}");
    pool.execute("drop table if exists checklist_sqlx").await?;
    pool.execute("create table checklist_sqlx (id int primary key, name text)").await?;
    prepared(&pool).await?;
    println!("pipeline not in this driver");
    copy(&pool).await?;
    transaction(&pool).await?;
    large(&pool).await?;
    println!("cancel, notices not in this driver");
    let rows: i64 = sqlx::query_scalar("select count(*) from checklist_sqlx").fetch_one(&pool).await?;
    println!("rows {rows}");
    pool.close().await;
    Ok(())
}

/// From eight tasks at once, so that the pool's connections change hands at the pooler.
async fn prepared(pool: &PgPool) -> Result<(), Error> {
    let tasks: Vec<_> = (0..8)
        .map(|worker| {
            let pool = pool.clone();
            tokio::spawn(async move {
                let mut sum = 0;
                for n in 0..20 {
                    let row = sqlx::query("select $1::int4 + $2::int4").bind(worker).bind(n).fetch_one(&pool).await?;
                    sum += row.get::<i32, _>(0);
                }
                Ok::<i32, Error>(sum)
            })
        })
        .collect();
    print!("prepared");
    for task in tasks {
        print!(" {}", task.await.expect("no panic")?);
    }
    println!();
    Ok(())
}

async fn copy(pool: &PgPool) -> Result<(), Error> {
    let mut conn = pool.acquire().await?;
    let mut into = conn.copy_in_raw("copy checklist_sqlx (id, name) from stdin").await?;
    for n in 0..1000 {
        into.send(format!("{n}\tname {n}\n").as_bytes()).await?;
    }
    let rows = into.finish().await?;
    let mut out = conn.copy_out_raw("copy (select * from checklist_sqlx order by id) to stdout").await?;
    let mut bytes = 0;
    while let Some(chunk) = out.try_next().await? {
        bytes += chunk.len();
    }
    drop(out);
    let into = conn.copy_in_raw("copy checklist_sqlx (id, name) from stdin").await?;
    into.abort("changed my mind").await?;
    println!("copy in {rows} out {bytes} bytes");
    Ok(())
}

async fn transaction(pool: &PgPool) -> Result<(), Error> {
    let mut conn = pool.acquire().await?;
    let mut outer = conn.begin().await?;
    sqlx::query("insert into checklist_sqlx values ($1, $2)").bind(5000).bind("kept").execute(&mut *outer).await?;
    let mut inner = outer.begin().await?;
    let again = sqlx::query("insert into checklist_sqlx values ($1, $2)").bind(5000).bind("again");
    let failed = again.execute(&mut *inner).await.expect_err("a duplicate");
    let failed = failed.as_database_error().expect("the server's");
    println!("error {:?} {:?}", failed.code(), failed.constraint());
    inner.rollback().await?;
    outer.commit().await?;
    // One that is dropped is rolled back before the connection's next use.
    let mut dropped = conn.begin().await?;
    dropped.execute("delete from checklist_sqlx").await?;
    drop(dropped);
    conn.ping().await?;
    let wrong = sqlx::query("selekt 1").execute(&mut *conn).await.expect_err("wrong");
    println!("error {:?}", wrong.as_database_error().and_then(|e| e.code()));
    Ok(())
}

async fn large(pool: &PgPool) -> Result<(), Error> {
    let text = "select repeat('x', 262144) from generate_series(1, 64)";
    let mut rows = sqlx::query(text).fetch(pool);
    let (mut count, mut bytes) = (0, 0);
    while let Some(row) = rows.try_next().await? {
        count += 1;
        bytes += row.get::<String, _>(0).len();
    }
    println!("large {count} rows {bytes} bytes");
    // A stream that is left in its middle.
    let mut rows = sqlx::query("select generate_series(1, 100000)").fetch(pool);
    let first = rows.try_next().await?.map(|row| row.get::<i32, _>(0));
    println!("left after {first:?}");
    Ok(())
}
