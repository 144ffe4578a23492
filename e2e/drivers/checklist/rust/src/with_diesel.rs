//! diesel: its query builder and its statement cache, over libpq.

use diesel::connection::SimpleConnection as _;
use diesel::pg::PgConnection;
use diesel::prelude::*;
use diesel::result::{DatabaseErrorKind, Error};
use diesel::sql_types::{Integer, Text};

diesel::table! {
    checklist_diesel (id) {
        id -> Integer,
        name -> Text,
    }
}

#[derive(QueryableByName)]
struct Name {
    #[diesel(sql_type = Text)]
    name: String,
}

#[derive(QueryableByName)]
struct Number {
    #[diesel(sql_type = Integer)]
    n: i32,
}

pub fn run() -> QueryResult<()> {
    // Everything stands in libpq's variables.
    let mut conn = PgConnection::establish("").expect("connect");
    let conn = &mut conn;
    let user: Name = diesel::sql_query("select current_user::text as name").get_result(conn)?;
    println!("connected as {}", user.name);
    conn.batch_execute(
        "set client_min_messages = warning; drop table if exists checklist_diesel; \
         create table checklist_diesel (id int primary key, name text not null)",
    )?;
    print!("prepared");
    for n in 0..20 {
        let found: Number = diesel::sql_query("select $1 + $2 as n")
            .bind::<Integer, _>(n)
            .bind::<Integer, _>(2)
            .get_result(conn)?;
        print!(" {}", found.n);
    }
    println!();
    let rows: Vec<_> = (0..1000)
        .map(|n| (checklist_diesel::id.eq(n), checklist_diesel::name.eq(format!("name {n}"))))
        .collect();
    println!("rows in {}", diesel::insert_into(checklist_diesel::table).values(&rows).execute(conn)?);
    let copied = diesel::copy_to(checklist_diesel::table).load_raw(conn)?;
    let mut text = String::new();
    std::io::Read::read_to_string(&mut { copied }, &mut text).expect("copy");
    println!("copy out {} bytes", text.len());
    transaction(conn)?;
    let large: Vec<Name> =
        diesel::sql_query("select repeat('x', 262144) as name from generate_series(1, 64)").load(conn)?;
    println!("large {} rows {} bytes", large.len(), large.iter().map(|row| row.name.len()).sum::<usize>());
    println!("pipeline, cancel, notices not in this driver");
    Ok(())
}

fn transaction(conn: &mut PgConnection) -> QueryResult<()> {
    let put = |conn: &mut PgConnection, name: &str| {
        diesel::insert_into(checklist_diesel::table)
            .values((checklist_diesel::id.eq(5000), checklist_diesel::name.eq(name)))
            .execute(conn)
    };
    conn.transaction(|conn| {
        put(conn, "kept")?;
        let failed = conn.transaction(|conn| put(conn, "again"));
        match failed {
            Err(Error::DatabaseError(DatabaseErrorKind::UniqueViolation, about)) => {
                println!("error {:?}", about.constraint_name());
            }
            other => panic!("{other:?}"),
        }
        QueryResult::Ok(())
    })?;
    let gone: QueryResult<()> = conn.transaction(|conn| {
        diesel::delete(checklist_diesel::table).execute(conn)?;
        Err(Error::RollbackTransaction)
    });
    let rows: i64 = checklist_diesel::table.count().get_result(conn)?;
    println!("{gone:?} rows {rows}");
    conn.build_transaction().serializable().read_only().run(|conn| {
        let wrong = put(conn, "read only").expect_err("read only");
        println!("error {wrong}");
        QueryResult::Ok(())
    }).or_else(|error| match error {
        Error::DatabaseError(..) | Error::RollbackErrorOnCommit { .. } => Ok(()),
        other => Err(other),
    })
}
