//! tokio-postgres over rustls: pipelines by itself, notices by its connection's messages.

use crate::told;
use futures_util::{SinkExt as _, TryStreamExt as _, future::join_all, pin_mut, stream};
use rustls::pki_types::{CertificateDer, pem::PemObject as _};
use tokio::sync::mpsc::{UnboundedReceiver, unbounded_channel};
use tokio_postgres::config::SslMode;
use tokio_postgres::{AsyncMessage, Client, Config, Error};
use tokio_postgres_rustls::MakeRustlsConnect;

/// A severity and a text.
type Notices = UnboundedReceiver<(String, String)>;

fn tls() -> MakeRustlsConnect {
    let mut roots = rustls::RootCertStore::empty();
    for certificate in CertificateDer::pem_file_iter(told("PGSSLROOTCERT")).expect("the authority") {
        roots.add(certificate.expect("a certificate")).expect("an authority");
    }
    MakeRustlsConnect::new(rustls::ClientConfig::builder().with_root_certificates(roots).with_no_client_auth())
}

async fn connect() -> Result<(Client, Notices), Error> {
    let mut config = Config::new();
    config
        .host(told("PGHOST"))
        .port(told("PGPORT").parse().expect("a port"))
        .user(told("PGUSER"))
        .password(told("PGPASSWORD"))
        .dbname(told("PGDATABASE"))
        .ssl_mode(SslMode::Require);
    let (client, mut connection) = config.connect(tls()).await?;
    let (sender, notices) = unbounded_channel();
    tokio::spawn(async move {
        let mut messages = stream::poll_fn(move |cx| connection.poll_message(cx));
        while let Ok(Some(message)) = messages.try_next().await {
            if let AsyncMessage::Notice(notice) = message {
                let _ = sender.send((notice.severity().to_owned(), notice.message().to_owned()));
            }
        }
    });
    Ok((client, notices))
}

pub async fn run() -> Result<(), Error> {
    let (mut client, mut notices) = connect().await?;
    let user: String = client.query_one("select current_user::text", &[]).await?.get(0);
    println!("connected as {user}");
    let begin = "set client_min_messages = warning; drop table if exists checklist_tokio; reset client_min_messages; \
                 create table checklist_tokio (id int primary key, name text)";
    client.batch_execute(begin).await?;
    let sum = client.prepare("select $1::int4 + $2::int4").await?;
    print!("prepared");
    for n in 0..20_i32 {
        print!(" {}", client.query_one(&sum, &[&n, &2_i32]).await?.get::<_, i32>(0));
    }
    println!(" of {} parameters", sum.params().len());
    pipeline(&client).await?;
    copy(&client).await?;
    transaction(&mut client).await?;
    client.batch_execute("do $$ begin raise notice 'a notice'; end $$").await?;
    let (severity, text) = notices.recv().await.expect("a notice");
    println!("notice {severity} {text}");
    large(&mut client).await?;
    cancel(client, notices).await
}

/// All in flight at once; every fourth is wrong.
async fn pipeline(client: &Client) -> Result<(), Error> {
    let quotient = client.prepare("select 12 / ($1::int4 % 4)").await?;
    let numbers: Vec<i32> = (0..40).collect();
    let flight = numbers.iter().map(|n| {
        let quotient = &quotient;
        async move { client.query_one(quotient, &[n]).await }
    });
    print!("pipeline");
    for got in join_all(flight).await {
        match got {
            Ok(row) => print!(" {}", row.get::<_, i32>(0)),
            Err(error) => print!(" {}", error.code().expect("the server's").code()),
        }
    }
    println!();
    Ok(())
}

async fn copy(client: &Client) -> Result<(), Error> {
    let lines = |count: i32| (0..count).map(|n| Ok::<_, Error>(bytes::Bytes::from(format!("{n}\tname {n}\n"))));
    let into = client.copy_in("copy checklist_tokio from stdin").await?;
    pin_mut!(into);
    into.send_all(&mut stream::iter(lines(1000))).await?;
    let rows = into.finish().await?;
    let out = client.copy_out("copy (select * from checklist_tokio order by id) to stdout").await?;
    let bytes = out.try_fold(0, |sum, chunk| async move { Ok(sum + chunk.len()) }).await?;
    println!("copy in {rows} out {bytes} bytes");
    let again = client.copy_in("copy checklist_tokio from stdin").await?;
    pin_mut!(again);
    again.send_all(&mut stream::iter(lines(3))).await?;
    let error = again.finish().await.expect_err("a duplicate");
    println!("copy fails {:?}", error.as_db_error().and_then(|e| e.where_()));
    // One that is dropped in its middle fails at the server.
    let dropped = client.copy_in::<_, bytes::Bytes>("copy checklist_tokio from stdin").await?;
    drop(dropped);
    let rows: i64 = client.query_one("select count(*) from checklist_tokio", &[]).await?.get(0);
    println!("copy given up, rows {rows}");
    Ok(())
}

async fn transaction(client: &mut Client) -> Result<(), Error> {
    let put = "insert into checklist_tokio values ($1, $2)";
    let mut outer = client.transaction().await?;
    outer.execute(put, &[&5000_i32, &"kept"]).await?;
    let inner = outer.savepoint("a").await?;
    let failed = inner.execute(put, &[&5000_i32, &"again"]).await.expect_err("a duplicate");
    let report = failed.as_db_error().expect("the server's");
    print!("error {} {:?}", report.code().code(), report.constraint());
    inner.rollback().await?;
    outer.commit().await?;
    let name: String = client.query_one("select name from checklist_tokio where id = 5000", &[]).await?.get(0);
    println!(" and {name}");
    let gone = client.transaction().await?;
    gone.execute("delete from checklist_tokio", &[]).await?;
    drop(gone);
    let wrong = client.batch_execute("selekt 1").await.expect_err("wrong");
    let report = wrong.as_db_error().expect("the server's");
    println!("error {} at {:?}", report.code().code(), report.position());
    Ok(())
}

/// The first time whole, then by a portal of eight rows at a time.
async fn large(client: &mut Client) -> Result<(), Error> {
    let text = "select repeat('x', 262144) from generate_series(1, 64)";
    let rows = client.query(text, &[]).await?;
    println!("large {} rows {} bytes", rows.len(), rows.iter().map(|row| row.get::<_, &str>(0).len()).sum::<usize>());
    let transaction = client.transaction().await?;
    let portal = transaction.bind(text, &[]).await?;
    print!("portal");
    loop {
        let part = transaction.query_portal(&portal, 8).await?;
        print!(" {}", part.len());
        if part.is_empty() {
            break;
        }
    }
    println!();
    transaction.commit().await
}

/// The notice says that it runs.
async fn cancel(client: Client, mut notices: Notices) -> Result<(), Error> {
    let token = client.cancel_token();
    let slow = client.batch_execute("do $$ begin raise notice 'running'; perform pg_sleep(60); end $$");
    let cancelled = async {
        notices.recv().await.expect("a notice");
        token.cancel_query(tls()).await
    };
    let (end, sent) = tokio::join!(slow, cancelled);
    sent?;
    print!("cancel {}", end.expect_err("cancelled").code().expect("the server's").code());
    println!(" and goes on {}", client.query_one("select 7", &[]).await?.get::<_, i32>(0));
    Ok(())
}
