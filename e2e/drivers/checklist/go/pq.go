package main

import (
	"context"
	"database/sql"
	"errors"
	"fmt"
	"os"

	"github.com/lib/pq"
)

func pqError(err error) *pq.Error {
	var report *pq.Error
	if !errors.As(err, &report) {
		check(fmt.Errorf("expected the server's error: %v", err))
	}
	return report
}

func withPq() {
	// It ends the program at a variable that it does not know.
	check(os.Unsetenv("PGHOSTADDR"))
	// A connector of its own, so that notices can be heard.
	base, err := pq.NewConnector("")
	check(err)
	heard := pq.ConnectorWithNoticeHandler(base, func(notice *pq.Error) {
		fmt.Println("notice", notice.Severity, notice.Message)
	})
	db := sql.OpenDB(heard)
	defer db.Close()
	ctx := context.Background()
	conn, err := db.Conn(ctx)
	check(err)
	defer conn.Close()
	var user string
	check(conn.QueryRowContext(ctx, "select current_user").Scan(&user))
	fmt.Println("connected as", user)
	_, err = conn.ExecContext(ctx, "set client_min_messages = warning; drop table if exists checklist_pq; reset client_min_messages; create table checklist_pq (id int primary key, name text)")
	check(err)
	fmt.Print("prepared")
	sum, err := conn.PrepareContext(ctx, "select $1::int + $2::int")
	check(err)
	for n := 0; n < 20; n++ {
		var got int
		check(sum.QueryRow(n, 2).Scan(&got))
		fmt.Print(" ", got)
	}
	fmt.Println()
	check(sum.Close())
	fmt.Println("pipeline not in this driver")
	pqCopy(ctx, conn)
	pqTransaction(ctx, conn)
	_, err = conn.ExecContext(ctx, "do $$ begin raise notice 'a notice'; end $$")
	check(err)
	rows, err := conn.QueryContext(ctx, large)
	check(err)
	count, bytes := 0, 0
	for rows.Next() {
		var text string
		check(rows.Scan(&text))
		count, bytes = count+1, bytes+len(text)
	}
	check(rows.Err())
	fmt.Println("large", count, "rows", bytes, "bytes")
	pqCancel(ctx, db, conn)
}

func pqCopy(ctx context.Context, conn *sql.Conn) {
	var count int
	tx, err := conn.BeginTx(ctx, nil)
	check(err)
	into, err := tx.Prepare(pq.CopyIn("checklist_pq", "id", "name"))
	check(err)
	for n := 0; n < 1000; n++ {
		_, err = into.Exec(n, fmt.Sprint("name ", n))
		check(err)
	}
	_, err = into.Exec()
	check(err)
	check(into.Close())
	check(tx.Commit())
	check(conn.QueryRowContext(ctx, "select count(*) from checklist_pq").Scan(&count))
	fmt.Println("copy in", count, "rows; out not in this driver")
	tx, err = conn.BeginTx(ctx, nil)
	check(err)
	into, err = tx.Prepare(pq.CopyIn("checklist_pq", "id", "name"))
	check(err)
	_, err = into.Exec(1, "again")
	check(err)
	_, err = into.Exec()
	fmt.Println("copy fails", pqError(err).Code, pqError(err).Constraint)
	_ = into.Close()
	check(tx.Rollback())
}

func pqTransaction(ctx context.Context, conn *sql.Conn) {
	tx, err := conn.BeginTx(ctx, &sql.TxOptions{Isolation: sql.LevelRepeatableRead})
	check(err)
	_, err = tx.Exec("insert into checklist_pq values ($1, $2)", 5000, "kept")
	check(err)
	_, err = tx.Exec("savepoint a")
	check(err)
	_, err = tx.Exec("insert into checklist_pq values ($1, $2)", 5000, "again")
	fmt.Print("error ", pqError(err).Code, " ", pqError(err).Constraint)
	_, err = tx.Exec("rollback to a")
	check(err)
	check(tx.Commit())
	var name string
	check(conn.QueryRowContext(ctx, "select name from checklist_pq where id = 5000").Scan(&name))
	fmt.Println(" and", name)
	_, err = conn.ExecContext(ctx, "selekt 1")
	fmt.Println("error", pqError(err).Code, "at", pqError(err).Position)
}

func pqCancel(ctx context.Context, db *sql.DB, conn *sql.Conn) {
	limited, stop := context.WithCancel(ctx)
	go func() {
		for count := 0; count == 0; {
			check(db.QueryRow(running).Scan(&count))
		}
		stop()
	}()
	_, err := conn.ExecContext(limited, waits)
	fmt.Print("cancel ", pqError(err).Code)
	// lib/pq gives up a connection whose statement it has cancelled: database/sql opens another.
	var seven int
	check(db.QueryRow("select 7").Scan(&seven))
	fmt.Println(", and goes on", seven)
}
