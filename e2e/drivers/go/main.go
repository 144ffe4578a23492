// Go: database/sql with lib/pq, and pgx with its own pool and statement cache.
package main

import (
	"context"
	"database/sql"
	"errors"
	"fmt"
	"os"
	"sort"
	"strings"
	"sync"
	"time"

	"github.com/jackc/pgconn"
	"github.com/jackc/pgx/v4"
	"github.com/jackc/pgx/v4/pgxpool"
	"github.com/lib/pq"
)

const (
	workers = 8
	rounds  = 12
)

// all runs one function per worker and gives back the errors that occurred, each once.
func all(work func(worker int) error) string {
	var group sync.WaitGroup
	var lock sync.Mutex
	seen := map[string]bool{}
	for worker := 0; worker < workers; worker++ {
		group.Add(1)
		go func(worker int) {
			defer group.Done()
			if err := work(worker); err != nil {
				lock.Lock()
				seen[err.Error()] = true
				lock.Unlock()
			}
		}(worker)
	}
	group.Wait()
	texts := []string{}
	for text := range seen {
		texts = append(texts, text)
	}
	sort.Strings(texts)
	return strings.Join(texts, "; ")
}

func check(err error) {
	if err != nil {
		panic(err)
	}
}

func libpq(url string) {
	db, err := sql.Open("postgres", url)
	check(err)
	defer db.Close()
	db.SetMaxOpenConns(workers)
	_, err = db.Exec("drop table if exists pq_items; create table pq_items (id int primary key, name text)")
	check(err)
	// Prepared once, used on every connection of database/sql's own pool.
	get, err := db.Prepare("select name from pq_items where id = $1")
	check(err)
	failed := all(func(worker int) error {
		for n := 0; n < rounds; n++ {
			id, name := worker*100+n, fmt.Sprintf("%d/%d", worker, n)
			tx, err := db.Begin()
			if err != nil {
				return fmt.Errorf("begin: %w", err)
			}
			if _, err = tx.Exec("insert into pq_items values ($1, $2)", id, name); err != nil {
				return fmt.Errorf("insert: %w", err)
			}
			var read string
			if err = tx.Stmt(get).QueryRow(id).Scan(&read); err != nil {
				return fmt.Errorf("read: %w", err)
			}
			if read != name {
				return errors.New("another worker's row")
			}
			if n%3 == 2 {
				err = tx.Rollback()
			} else {
				err = tx.Commit()
			}
			if err != nil {
				return fmt.Errorf("end: %w", err)
			}
			_, err = db.Exec("select 1 / $1::int", 0)
			var report *pq.Error
			if !errors.As(err, &report) || report.Code != "22012" {
				return fmt.Errorf("expected 22012: %w", err)
			}
		}
		return nil
	})
	var count, sum int
	check(db.QueryRow("select count(*), sum(id) from pq_items").Scan(&count, &sum))
	fmt.Printf("lib/pq rows %d sum %d errors [%s]\n", count, sum, failed)

	tx, err := db.Begin()
	check(err)
	copying, err := tx.Prepare(pq.CopyIn("pq_items", "id", "name"))
	check(err)
	for n := 0; n < 500; n++ {
		_, err = copying.Exec(10000+n, "copied")
		check(err)
	}
	_, err = copying.Exec()
	check(err)
	check(copying.Close())
	check(tx.Commit())
	check(db.QueryRow("select count(*) from pq_items where name = 'copied'").Scan(&count))
	fmt.Println("lib/pq copied", count)

	limited, stop := context.WithTimeout(context.Background(), 200*time.Millisecond)
	defer stop()
	_, err = db.ExecContext(limited, "select pg_sleep(30)")
	var report *pq.Error
	fmt.Println("lib/pq cancelled", errors.As(err, &report) && report.Code == "57014")
	check(db.QueryRow("select 7").Scan(&count))

	listener := pq.NewListener(url, time.Second, time.Second, nil)
	defer listener.Close()
	check(listener.Listen("pq_news"))
	_, err = db.Exec("select pg_notify('pq_news', 'heard')")
	check(err)
	select {
	case note := <-listener.Notify:
		fmt.Println("lib/pq", note.Channel, note.Extra)
	case <-time.After(20 * time.Second):
		fmt.Println("lib/pq heard nothing")
	}
}

func pgxWork(url string) {
	ctx := context.Background()
	config, err := pgxpool.ParseConfig(url)
	check(err)
	config.MaxConns = workers
	pool, err := pgxpool.ConnectConfig(ctx, config)
	check(err)
	defer pool.Close()
	_, err = pool.Exec(ctx, "drop table if exists pgx_items")
	check(err)
	_, err = pool.Exec(ctx, "create table pgx_items (id int primary key, name text)")
	check(err)
	failed := all(func(worker int) error {
		for n := 0; n < rounds; n++ {
			id, name := worker*100+n, fmt.Sprintf("%d/%d", worker, n)
			err := pool.BeginFunc(ctx, func(tx pgx.Tx) error {
				if _, err := tx.Exec(ctx, "insert into pgx_items values ($1, $2)", id, name); err != nil {
					return err
				}
				// A savepoint whose statement fails.
				err := tx.BeginFunc(ctx, func(inner pgx.Tx) error {
					_, err := inner.Exec(ctx, "insert into pgx_items values ($1, $2)", id, name)
					return err
				})
				var report *pgconn.PgError
				if !errors.As(err, &report) || report.Code != "23505" {
					return fmt.Errorf("expected 23505: %w", err)
				}
				var read string
				if err := tx.QueryRow(ctx, "select name from pgx_items where id = $1", id).Scan(&read); err != nil {
					return err
				}
				if read != name {
					return errors.New("another worker's row")
				}
				return nil
			})
			if err != nil {
				return err
			}
			// One batch: prepared once each, then sent together.
			batch := &pgx.Batch{}
			for k := 1; k <= 5; k++ {
				batch.Queue("select $1::int * 2", k)
			}
			results := pool.SendBatch(ctx, batch)
			for k := 1; k <= 5; k++ {
				var twice int
				if err := results.QueryRow().Scan(&twice); err != nil {
					return err
				}
				if twice != 2*k {
					return errors.New("another query's answer")
				}
			}
			if err := results.Close(); err != nil {
				return err
			}
		}
		return nil
	})
	var count, sum int
	check(pool.QueryRow(ctx, "select count(*), sum(id) from pgx_items").Scan(&count, &sum))
	fmt.Printf("pgx rows %d sum %d errors [%s]\n", count, sum, failed)

	source := [][]interface{}{}
	for n := 0; n < 500; n++ {
		source = append(source, []interface{}{10000 + n, "copied"})
	}
	copied, err := pool.CopyFrom(ctx, pgx.Identifier{"pgx_items"}, []string{"id", "name"}, pgx.CopyFromRows(source))
	check(err)
	fmt.Println("pgx copied", copied)

	// The cached plan of a table that changes below it.
	read := func() (int, error) {
		rows, err := pool.Query(ctx, "select * from pgx_items where id = $1", 0)
		if err != nil {
			return 0, err
		}
		defer rows.Close()
		columns := len(rows.FieldDescriptions())
		for rows.Next() {
		}
		return columns, rows.Err()
	}
	before, err := read()
	check(err)
	_, err = pool.Exec(ctx, "alter table pgx_items add column more int")
	check(err)
	// pgx itself gives the first error after DDL back and prepares anew then.
	after := 0
	for try := 0; try < 3*workers && after != 3; try++ {
		after, _ = read()
	}
	fmt.Println("pgx columns", before, after)

	limited, stop := context.WithTimeout(ctx, 200*time.Millisecond)
	defer stop()
	_, err = pool.Exec(limited, "select pg_sleep(30)")
	fmt.Println("pgx timed out", errors.Is(err, context.DeadlineExceeded))

	conn, err := pgx.Connect(ctx, url+"?application_name=go-app&search_path=pg_catalog")
	check(err)
	defer conn.Close(ctx)
	var application, path string
	check(conn.QueryRow(ctx, "select current_setting('application_name'), current_setting('search_path')").Scan(&application, &path))
	fmt.Println("pgx", application, path)
}

func main() {
	url := os.Getenv("DATABASE_URL")
	libpq(url)
	pgxWork(url)
}
