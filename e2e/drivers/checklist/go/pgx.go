package main

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"strings"

	"github.com/jackc/pgconn"
	"github.com/jackc/pgx/v4"
)

func pgxError(err error) *pgconn.PgError {
	var report *pgconn.PgError
	if !errors.As(err, &report) {
		check(fmt.Errorf("expected the server's error: %v", err))
	}
	return report
}

func withPgx() {
	ctx := context.Background()
	config, err := pgx.ParseConfig("")
	check(err)
	config.OnNotice = func(_ *pgconn.PgConn, notice *pgconn.Notice) {
		fmt.Println("notice", notice.Severity, notice.Message)
	}
	conn, err := pgx.ConnectConfig(ctx, config)
	check(err)
	defer conn.Close(ctx)
	var user string
	check(conn.QueryRow(ctx, "select current_user::text").Scan(&user))
	fmt.Println("connected as", user, "TLS", config.TLSConfig != nil)
	_, err = conn.Exec(ctx, "set client_min_messages = warning; drop table if exists checklist_pgx; reset client_min_messages; create table checklist_pgx (id int primary key, name text)")
	check(err)
	fmt.Print("prepared")
	_, err = conn.Prepare(ctx, "sum", "select $1::int + $2::int")
	check(err)
	for n := 0; n < 20; n++ {
		var got int
		check(conn.QueryRow(ctx, "sum", n, 2).Scan(&got))
		fmt.Print(" ", got)
	}
	check(conn.Deallocate(ctx, "sum"))
	fmt.Println()
	pgxPipeline(ctx, conn)
	pgxCopy(ctx, conn)
	pgxTransaction(ctx, conn)
	_, err = conn.Exec(ctx, "do $$ begin raise notice 'a notice'; end $$")
	check(err)
	rows, err := conn.Query(ctx, large)
	check(err)
	count, size := 0, 0
	for rows.Next() {
		count, size = count+1, size+len(rows.RawValues()[0])
	}
	check(rows.Err())
	fmt.Println("large", count, "rows", size, "bytes")
	pgxCancel(ctx, conn, config)
}

// Batches of three; the second fails in its middle, and what follows in it is skipped.
func pgxPipeline(ctx context.Context, conn *pgx.Conn) {
	fmt.Print("pipeline")
	for batch := 2; batch < 5; batch++ {
		queued := &pgx.Batch{}
		for _, text := range []string{"select $1::int * 2", "select 1 / ($1::int - 3)", "select $1::int * 3"} {
			queued.Queue(text, batch)
		}
		results := conn.SendBatch(ctx, queued)
		for i := 0; i < 3; i++ {
			var got int
			if err := results.QueryRow().Scan(&got); err != nil {
				fmt.Print(" ", pgxError(err).Code)
			} else {
				fmt.Print(" ", got)
			}
		}
		_ = results.Close()
	}
	fmt.Println()
}

func pgxCopy(ctx context.Context, conn *pgx.Conn) {
	rows := [][]interface{}{}
	for n := 0; n < 1000; n++ {
		rows = append(rows, []interface{}{n, fmt.Sprint("name ", n)})
	}
	into := func() (int64, error) {
		return conn.CopyFrom(ctx, pgx.Identifier{"checklist_pgx"}, []string{"id", "name"}, pgx.CopyFromRows(rows))
	}
	in, err := into()
	check(err)
	out := &bytes.Buffer{}
	tag, err := conn.PgConn().CopyTo(ctx, out, "copy (select * from checklist_pgx order by id) to stdout")
	check(err)
	fmt.Println("copy in", in, "out", tag.RowsAffected(), "rows", out.Len(), "bytes")
	_, err = into()
	fmt.Println("copy fails", pgxError(err).Code, pgxError(err).ConstraintName)
	_, err = conn.PgConn().CopyFrom(ctx, strings.NewReader("nonsense\n"), "copy checklist_pgx from stdin")
	fmt.Println("copy fails", pgxError(err).Code, pgxError(err).Where)
}

func pgxTransaction(ctx context.Context, conn *pgx.Conn) {
	put := "insert into checklist_pgx values ($1, $2)"
	check(conn.BeginFunc(ctx, func(tx pgx.Tx) error {
		if _, err := tx.Exec(ctx, put, 5000, "kept"); err != nil {
			return err
		}
		err := tx.BeginFunc(ctx, func(inner pgx.Tx) error {
			_, err := inner.Exec(ctx, put, 5000, "again")
			return err
		})
		fmt.Printf("error %s %s in %c", pgxError(err).Code, pgxError(err).ConstraintName, conn.PgConn().TxStatus())
		return nil
	}))
	var name string
	check(conn.QueryRow(ctx, "select name from checklist_pgx where id = 5000").Scan(&name))
	fmt.Println(" and", name)
	_, err := conn.Exec(ctx, "selekt 1")
	fmt.Println("error", pgxError(err).Code, "at", pgxError(err).Position)
}

func pgxCancel(ctx context.Context, conn *pgx.Conn, config *pgx.ConnConfig) {
	other, err := pgx.ConnectConfig(ctx, config)
	check(err)
	defer other.Close(ctx)
	done := make(chan error)
	go func() {
		_, err := conn.Exec(ctx, waits)
		done <- err
	}()
	for count := 0; count == 0; {
		check(other.QueryRow(ctx, running).Scan(&count))
	}
	check(conn.PgConn().CancelRequest(ctx))
	fmt.Print("cancel ", pgxError(<-done).Code)
	var seven int
	check(conn.QueryRow(ctx, "select 7").Scan(&seven))
	fmt.Println(", and goes on", seven)
}
