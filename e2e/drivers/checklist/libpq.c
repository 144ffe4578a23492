/* libpq in C: the checklist of README.md. */
#include <libpq-fe.h>
#include <poll.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

static PGconn *conn;

static void die(const char *what) {
  fprintf(stderr, "%s: %s\n", what, PQerrorMessage(conn));
  exit(1);
}

/* Runs a text and expects this status. */
static PGresult *run(const char *sql, ExecStatusType wanted) {
  PGresult *result = PQexec(conn, sql);
  if (PQresultStatus(result) != wanted) die(sql);
  return result;
}

static void done(const char *sql) { PQclear(run(sql, PGRES_COMMAND_OK)); }

static void heard(void *arg, const PGresult *result) {
  (void)arg;
  printf("notice %s %s\n", PQresultErrorField(result, PG_DIAG_SEVERITY_NONLOCALIZED),
         PQresultErrorField(result, PG_DIAG_MESSAGE_PRIMARY));
}

static void prepared(void) {
  PGresult *result = PQprepare(conn, "sum", "select $1::int + $2::int", 2, NULL);
  if (PQresultStatus(result) != PGRES_COMMAND_OK) die("prepare");
  PQclear(result);
  printf("prepared");
  for (int n = 0; n < 20; n++) {
    char text[12];
    snprintf(text, sizeof text, "%d", n);
    const char *values[] = {text, "2"};
    result = PQexecPrepared(conn, "sum", 2, values, NULL, NULL, 0);
    if (PQresultStatus(result) != PGRES_TUPLES_OK) die("execute");
    printf(" %s", PQgetvalue(result, 0, 0));
    PQclear(result);
  }
  result = PQdescribePrepared(conn, "sum");
  printf(" of %d parameters\n", PQnparams(result));
  PQclear(result);
}

/* Three batches; the second fails in the middle, and what follows in it is skipped. */
static void pipeline(void) {
  static const char *texts[] = {"select $1::int * 2", "select 1 / ($1::int - 3)", "select $1::int * 3"};
  if (!PQenterPipelineMode(conn)) die("pipeline");
  for (int batch = 0; batch < 3; batch++) {
    char text[12];
    snprintf(text, sizeof text, "%d", batch + 2);
    const char *values[] = {text};
    for (int i = 0; i < 3; i++)
      if (!PQsendQueryParams(conn, texts[i], 1, NULL, values, NULL, NULL, 0)) die("send");
    if (!PQpipelineSync(conn)) die("sync");
  }
  printf("pipeline");
  for (int syncs = 0; syncs < 3;) {
    PGresult *result = PQgetResult(conn);
    if (result == NULL) continue;
    ExecStatusType status = PQresultStatus(result);
    if (status == PGRES_PIPELINE_SYNC) syncs++;
    if (status == PGRES_TUPLES_OK) printf(" %s", PQgetvalue(result, 0, 0));
    if (status == PGRES_FATAL_ERROR) printf(" %s", PQresultErrorField(result, PG_DIAG_SQLSTATE));
    if (status == PGRES_PIPELINE_ABORTED) printf(" skipped");
    PQclear(result);
  }
  printf("\n");
  if (!PQexitPipelineMode(conn)) die("end of the pipeline");
}

static void copy(void) {
  PQclear(run("copy checklist_c (id, name) from stdin", PGRES_COPY_IN));
  for (int n = 0; n < 1000; n++) {
    char line[64];
    int bytes = snprintf(line, sizeof line, "%d\tname %d\n", n, n);
    if (PQputCopyData(conn, line, bytes) != 1) die("copy");
  }
  if (PQputCopyEnd(conn, NULL) != 1) die("end of copy");
  PGresult *result = PQgetResult(conn);
  printf("copy in %s", PQcmdTuples(result));
  PQclear(result);
  while ((result = PQgetResult(conn)) != NULL) PQclear(result);
  PQclear(run("copy (select * from checklist_c order by id) to stdout", PGRES_COPY_OUT));
  char *line;
  int rows = 0, bytes = 0, got;
  while ((got = PQgetCopyData(conn, &line, 0)) > 0) {
    rows++;
    bytes += got;
    PQfreemem(line);
  }
  printf(" out %d rows %d bytes\n", rows, bytes);
  while ((result = PQgetResult(conn)) != NULL) PQclear(result);
  PQclear(run("copy checklist_c (id, name) from stdin", PGRES_COPY_IN));
  if (PQputCopyEnd(conn, "changed my mind") != 1) die("failed copy");
  result = PQgetResult(conn);
  printf("copy fails %s\n", PQresultErrorField(result, PG_DIAG_SQLSTATE));
  PQclear(result);
  while ((result = PQgetResult(conn)) != NULL) PQclear(result);
}

static void transaction(void) {
  done("begin");
  done("insert into checklist_c values (5000, 'kept')");
  done("savepoint a");
  PGresult *result = PQexec(conn, "insert into checklist_c values (5000, 'again')");
  printf("error %s %s", PQresultErrorField(result, PG_DIAG_SQLSTATE),
         PQresultErrorField(result, PG_DIAG_CONSTRAINT_NAME));
  PQclear(result);
  printf(" in %d", PQtransactionStatus(conn));
  done("rollback to a");
  done("commit");
  result = run("select name from checklist_c where id = 5000", PGRES_TUPLES_OK);
  printf(" and %s\n", PQgetvalue(result, 0, 0));
  PQclear(result);
  result = PQexec(conn, "selekt 1");
  printf("error %s at %s\n", PQresultErrorField(result, PG_DIAG_SQLSTATE),
         PQresultErrorField(result, PG_DIAG_STATEMENT_POSITION));
  PQclear(result);
}

/* As event loops read: they wait at the socket, and what TLS has read and libpq has not taken yet is not seen there. */
static PGresult *next_result(void) {
  while (PQisBusy(conn)) {
    struct pollfd fd = {PQsocket(conn), POLLIN, 0};
    if (poll(&fd, 1, 10000) < 1 || !PQconsumeInput(conn)) die("nothing more comes");
  }
  return PQgetResult(conn);
}

static void large(void) {
  long rows = 0, bytes = 0;
  for (int round = 0; round < 10; round++) {
    if (!PQsendQuery(conn, "select repeat('x', 262144) from generate_series(1, 64)") || !PQsetSingleRowMode(conn))
      die("large");
    PGresult *result;
    while ((result = next_result()) != NULL) {
      if (PQresultStatus(result) == PGRES_SINGLE_TUPLE) {
        rows++;
        bytes += PQgetlength(result, 0, 0);
      }
      PQclear(result);
    }
  }
  printf("large %ld rows %ld bytes\n", rows / 10, bytes / 10);
}

/* The cancel goes out when the notice of the same text says that it runs. */
static int running;
static void runs(void *arg, const PGresult *result) {
  (void)arg;
  (void)result;
  running = 1;
}

static void cancel(void) {
  PQsetNoticeReceiver(conn, runs, NULL);
  if (!PQsendQuery(conn, "do $$ begin raise notice 'running'; perform pg_sleep(60); end $$")) die("send");
  while (!running) {
    struct pollfd fd = {PQsocket(conn), POLLIN, 0};
    if (poll(&fd, 1, 30000) < 1 || !PQconsumeInput(conn)) die("no notice");
    PQisBusy(conn);
  }
  char error[256];
  PGcancel *handle = PQgetCancel(conn);
  if (!PQcancel(handle, error, sizeof error)) die(error);
  PQfreeCancel(handle);
  PGresult *result = PQgetResult(conn);
  printf("cancel %s", PQresultErrorField(result, PG_DIAG_SQLSTATE));
  PQclear(result);
  while ((result = PQgetResult(conn)) != NULL) PQclear(result);
  result = run("select 'and goes on'", PGRES_TUPLES_OK);
  printf(" %s\n", PQgetvalue(result, 0, 0));
  PQclear(result);
}

int main(void) {
  conn = PQconnectdb("");
  if (PQstatus(conn) != CONNECTION_OK) die("connect");
  PGresult *result = run("select current_user", PGRES_TUPLES_OK);
  printf("connected as %s, TLS %d, password %d\n", PQgetvalue(result, 0, 0), PQsslInUse(conn),
         PQconnectionUsedPassword(conn));
  PQclear(result);
  PQsetNoticeReceiver(conn, heard, NULL);
  done("set client_min_messages = warning");
  done("drop table if exists checklist_c");
  done("reset client_min_messages");
  done("create table checklist_c (id int primary key, name text)");
  prepared();
  pipeline();
  copy();
  transaction();
  done("do $$ begin raise notice 'a notice'; end $$");
  large();
  cancel();
  PQfinish(conn);
  return 0;
}
